// Randomness and waiting between attempts.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <paddlesrv/error.hpp>
#include <paddlesrv/infer.hpp>

namespace paddlesrv::detail {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

/// 64 random bits; not for secrets.
std::uint64_t random_bits();

/// @throws std::invalid_argument it asks for no attempt, or for negative waits.
void check(const RetryPolicy& policy);

/// @throws std::invalid_argument the time is not positive.
Milliseconds checked(const char* what, Milliseconds time);

/// A call's time.
class Deadline {
 public:
  /// Begins now. A time that is longer than any clock's is no limit.
  explicit Deadline(Milliseconds given);

  /// What is left of it, rounded up; zero once it is over.
  Milliseconds left() const;
  bool over() const { return Clock::now() >= end_; }
  Clock::time_point end() const { return end_; }

  /// The error of a call whose time is over.
  /// @param before What was wrong with the attempt before, if there was one.
  DeadlineError error(const std::string& request_id, const std::string& before = "") const;

 private:
  Milliseconds given_;
  Clock::time_point end_;
};

/// Counts attempts, and waits between them.
class Attempts {
 public:
  Attempts(const RetryPolicy& policy, const Deadline& deadline)
      : policy_(policy), deadline_(deadline) {}

  /// Whether one more attempt is to be made; if so, its time has come when this returns.
  /// @param asked How long the server asked to be left alone.
  bool again(std::chrono::seconds asked);

 private:
  RetryPolicy policy_;
  Deadline deadline_;
  int made_ = 1;
};

/// Does it until it works, or nothing more can be hoped for.
template <class Attempt>
auto with_retries(const RetryPolicy& policy, const Deadline& deadline, const std::string& id,
                  const Attempt& attempt) -> decltype(attempt(std::string())) {
  Attempts attempts(policy, deadline);
  std::string before;
  for (;;) {
    try {
      return attempt(before);
    } catch (const ConnectionError& error) {
      before = error.what();
      if (error.temporary() && deadline.over()) throw deadline.error(id, before);
      if (!error.temporary() || !attempts.again(std::chrono::seconds(0))) throw;
    } catch (const ServerError& error) {
      before = error.what();
      if (!error.busy() || !attempts.again(error.retry_after())) throw;
    }
  }
}

}  // namespace paddlesrv::detail
