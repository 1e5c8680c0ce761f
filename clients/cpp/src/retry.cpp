#include "retry.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>
#include <thread>

namespace paddlesrv::detail {

namespace {

constexpr Milliseconds longest = std::chrono::hours(24 * 365);

}  // namespace

std::uint64_t random_bits() {
  thread_local std::mt19937_64 engine([] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }());
  return engine();
}

void check(const RetryPolicy& policy) {
  if (policy.attempts < 1) throw std::invalid_argument("there must be at least 1 attempt");
  if (policy.first_delay.count() < 0 || policy.first_delay > policy.max_delay) {
    throw std::invalid_argument("the first delay must be from 0 to the longest");
  }
}

Milliseconds checked(const char* what, Milliseconds time) {
  if (time.count() < 1) throw std::invalid_argument(std::string(what) + " must be at least 1 ms");
  return std::min(time, longest);
}

Deadline::Deadline(Milliseconds given)
    : given_(checked("the timeout", given)), end_(Clock::now() + given_) {}

Milliseconds Deadline::left() const {
  const auto left = std::chrono::ceil<Milliseconds>(end_ - Clock::now());
  return std::max(left, Milliseconds(0));
}

DeadlineError Deadline::error(const std::string& request_id, const std::string& before) const {
  const std::string text = "no answer within " + std::to_string(given_.count()) + " ms";
  return {before.empty() ? text : text + "; the attempt before: " + before, request_id};
}

bool Attempts::again(std::chrono::seconds asked) {
  if (made_ >= policy_.attempts) return false;
  Milliseconds limit = std::min(policy_.first_delay, longest);
  const Milliseconds most = std::min(policy_.max_delay, longest);
  for (int i = 1; i < made_ && limit < most; ++i) limit = std::min(limit * 2, most);
  const auto range = static_cast<std::uint64_t>(limit.count()) + 1;
  const auto wait = Milliseconds(static_cast<std::int64_t>(random_bits() % range)) +
                    std::min<Milliseconds>(asked, longest);
  if (wait >= deadline_.left()) return false;
  ++made_;
  std::this_thread::sleep_for(wait);
  return true;
}

}  // namespace paddlesrv::detail
