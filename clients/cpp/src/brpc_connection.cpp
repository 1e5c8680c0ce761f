#include "brpc_connection.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <system_error>
#include <utility>

#include <poll.h>

#include "compression.hpp"
#include "damage.hpp"
#include "general_model.hpp"
#include "text.hpp"

namespace paddlesrv::detail {

namespace {

/// Names of apache/brpc's src/brpc/errno.proto.
std::string code_name(int code) {
  constexpr std::array<std::pair<int, const char*>, 12> known{{
      {125, "ECANCELED"}, {1001, "ENOSERVICE"}, {1002, "ENOMETHOD"}, {1003, "EREQUEST"},
      {1004, "ERPCAUTH"}, {1008, "ERPCTIMEDOUT"}, {1010, "EHTTP"}, {1011, "EOVERCROWDED"},
      {2001, "EINTERNAL"}, {2002, "ERESPONSE"}, {2003, "ELOGOFF"}, {2004, "ELIMIT"},
  }};
  for (const auto& [number, name] : known) {
    if (number == code) return name;
  }
  return std::to_string(code);
}

/// An error's one line, "TEXT; hint: HINT [request ID]", taken apart; another's is all text.
ServerError refusal(const AnswerFrame& frame, const std::string& request_id) {
  std::string text = frame.error_text;
  std::string id = request_id;
  ServerError::Details details;
  details.brpc_code = frame.error_code;
  details.code = code_name(frame.error_code);
  constexpr std::string_view id_mark = " [request ", hint_mark = "; hint: ";
  if (const std::size_t at = text.rfind(id_mark); at != std::string::npos && text.back() == ']') {
    id = text.substr(at + id_mark.size(), text.size() - at - id_mark.size() - 1);
    text.erase(at);
  }
  if (const std::size_t at = text.rfind(hint_mark); at != std::string::npos) {
    details.hint = text.substr(at + hint_mark.size());
    text.erase(at);
  }
  if (text.empty()) text = "the server answered with error " + details.code;
  return {text, id, details};
}

std::string unpacked(const AnswerFrame& frame, std::size_t limit) {
  switch (frame.compress_type) {
    case 0: return frame.body;
    case static_cast<int>(Compression::gzip): return decompress(Coding::gzip, frame.body, limit);
    case static_cast<int>(Compression::zlib): return decompress(Coding::zlib, frame.body, limit);
    default:
      throw Damage("compressed in a way that was not asked for: " +
                   std::to_string(frame.compress_type));
  }
}

}  // namespace

BrpcConnection::BrpcConnection(std::string host, std::uint16_t port, const BrpcOptions& options)
    : host_(std::move(host)), port_(port), options_(options), thread_([this] { run(); }) {}

BrpcConnection::~BrpcConnection() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  bell_.ring();
  thread_.join();
}

std::future<InferResult> BrpcConnection::start(BrpcCall call) {
  CallMeta meta;
  meta.compress_type = static_cast<std::int32_t>(options_.compression);
  meta.log_id = static_cast<std::int64_t>(call.log_id);
  meta.timeout_ms = static_cast<std::int32_t>(std::clamp<Milliseconds::rep>(
      call.deadline.left().count(), 1, std::numeric_limits<std::int32_t>::max()));
  meta.request_id = call.request_id;
  meta.authentication = options_.authentication;
  std::future<InferResult> future;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    meta.correlation_id = last_number_ + 1;
    Pending pending{call.deadline, std::move(call.request_id), std::move(call.before),
                    std::move(call.outputs), encode_frame(meta, call.body), false, {}};
    future = pending.promise.get_future();
    queue_.push_back(meta.correlation_id);
    calls_.emplace(meta.correlation_id, std::move(pending));
    last_number_ = meta.correlation_id;
  }
  bell_.ring();
  return future;
}

// -- the thread ---------------------------------------------------------------------------------

void BrpcConnection::run() {
  for (bool more = true; more;) {
    try {
      more = step();
    } catch (const std::exception& error) {  // of the system, or no memory
      broken(error.what());
    }
  }
  close(
      [](const std::string& id) {
        return std::make_exception_ptr(ConnectionError("the client was closed", id, false));
      },
      true);
}

bool BrpcConnection::step() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return false;
  }
  expire();
  if (state_ == State::closed && something_to_send()) connect();
  wait();
  if (state_ == State::connecting) {
    if (writable_) {
      connected();
    } else if (Clock::now() >= connect_end_) {
      const auto time = std::to_string(options_.connect_timeout.count());
      addresses_.clear();
      connect_next("it did not come about within " + time + " ms");
    }
  } else if (state_ == State::open) {
    if (readable_) receive();
    if (state_ == State::open && writable_) send_queued();
  }
  return true;
}

void BrpcConnection::expire() {
  std::vector<Pending> late;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto each = calls_.begin(); each != calls_.end();) {
      if (each->second.deadline.over()) {
        late.push_back(std::move(each->second));
        each = calls_.erase(each);
      } else {
        ++each;
      }
    }
  }
  for (Pending& call : late) {
    call.promise.set_exception(
        std::make_exception_ptr(call.deadline.error(call.request_id, call.before)));
  }
}

bool BrpcConnection::something_to_send() {
  if (!sending_.empty()) return true;
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!queue_.empty() && calls_.count(queue_.front()) == 0) queue_.pop_front();  // it was late
  return !queue_.empty();
}

int BrpcConnection::milliseconds_to_wait() {
  Clock::time_point end = Clock::time_point::max();
  if (state_ == State::connecting) end = connect_end_;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [number, call] : calls_) end = std::min(end, call.deadline.end());
  }
  if (end == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<Milliseconds::rep>(left, 0, 3'600'000));
}

void BrpcConnection::wait() {
  const bool writes = state_ == State::connecting || (state_ == State::open && something_to_send());
  const bool reads = state_ == State::open;
  const auto events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
  std::array<pollfd, 2> watched{{{bell_.descriptor(), POLLIN, 0}, {socket_.get(), events, 0}}};
  const int ready = poll(watched.data(), watched.size(), milliseconds_to_wait());
  readable_ = writable_ = false;
  if (ready <= 0) return;  // a signal, or a call's time
  if (watched[0].revents != 0) bell_.clear();
  const int found = watched[1].revents;
  const bool ended = (found & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  readable_ = ended || (found & POLLIN) != 0;
  writable_ = writes && (ended || (found & POLLOUT) != 0);
}

void BrpcConnection::connect() {
  connect_end_ = Clock::now() + options_.connect_timeout;
  try {
    addresses_ = look_up(host_, port_);
  } catch (const std::runtime_error& error) {
    addresses_.clear();
    connect_next(error.what());
    return;
  }
  std::reverse(addresses_.begin(), addresses_.end());
  connect_next("it has no address");
}

void BrpcConnection::connect_next(std::string reason) {
  socket_ = {};
  while (!addresses_.empty()) {
    const Address address = addresses_.back();
    addresses_.pop_back();
    try {
      socket_ = begin_connect(address);
      state_ = State::connecting;
      return;
    } catch (const std::system_error& error) {
      reason = error.code().message();
    }
  }
  broken(reason);
}

void BrpcConnection::connected() {
  if (std::optional<std::string> reason = connect_error(socket_)) {
    connect_next(std::move(*reason));
    return;
  }
  state_ = State::open;
  answered_ = false;
  reader_.emplace(options_.max_answer_bytes);
}

void BrpcConnection::send_queued() {
  for (;;) {
    if (sending_.empty()) {
      if (!something_to_send()) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      Pending& call = calls_.at(queue_.front());
      queue_.pop_front();
      call.sent = true;
      sending_ = std::move(call.frame);
      sent_ = 0;
    }
    const std::size_t here = send_some(socket_, std::string_view(sending_).substr(sent_));
    if (here == 0) return;
    sent_ += here;
    if (sent_ == sending_.size()) sending_.clear();
  }
}

void BrpcConnection::receive() {
  std::string bytes;
  const bool more = receive_some(socket_, bytes);
  try {
    reader_->feed(bytes);
    while (std::optional<AnswerFrame> frame = reader_->next()) settle(std::move(*frame));
  } catch (const Damage& damage) {
    const std::string text = std::string("the server's answer is not what bRPC says: ") + damage.what();
    // Who speaks another language from the first byte on would, connected again, do the same.
    close([&](const std::string& id) { return std::make_exception_ptr(MalformedAnswer(text, id)); },
          !answered_);
    return;
  }
  if (!more) broken("the server closed the connection");
}

void BrpcConnection::settle(AnswerFrame frame) {
  std::optional<Pending> call;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = calls_.find(frame.correlation_id);
    if (found != calls_.end() && found->second.sent) {
      call.emplace(std::move(found->second));
      calls_.erase(found);
    } else if (found != calls_.end() || frame.correlation_id < 1 ||
               frame.correlation_id > last_number_) {
      throw Damage("an answer to a call that was not made: " + std::to_string(frame.correlation_id));
    }
  }
  answered_ = true;
  if (!call) return;  // its time is over
  try {
    call->promise.set_value(read(frame, *call));
  } catch (...) {
    call->promise.set_exception(std::current_exception());
  }
}

InferResult BrpcConnection::read(const AnswerFrame& frame, const Pending& call) const {
  if (frame.error_code != 0) throw refusal(frame, call.request_id);
  const auto malformed = [&](const std::exception& error) {
    return MalformedAnswer(std::string("the server's answer is not what bRPC says: ") + error.what(),
                           call.request_id);
  };
  try {
    const std::string body = unpacked(frame, options_.max_answer_bytes);
    return {"", "", "", decode_general(body, call.outputs)};
  } catch (const std::runtime_error& error) {
    throw malformed(error);
  } catch (const std::logic_error& error) {
    throw malformed(error);
  }
}

void BrpcConnection::broken(const std::string& reason) {
  const std::string text = "no answer from " + host_ + ":" + std::to_string(port_) + ": " + reason;
  // What was not sent may go on the next connection, if this one was of any use.
  close([&](const std::string& id) { return std::make_exception_ptr(ConnectionError(text, id, true)); },
        !answered_);
}

void BrpcConnection::close(const ErrorOf& error_of, bool unsent_too) {
  state_ = State::closed;
  socket_ = {};
  reader_.reset();
  sending_.clear();
  answered_ = false;
  std::vector<Pending> lost;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto each = calls_.begin(); each != calls_.end();) {
      if (each->second.sent || unsent_too) {
        lost.push_back(std::move(each->second));
        each = calls_.erase(each);
      } else {
        ++each;
      }
    }
  }
  for (Pending& call : lost) call.promise.set_exception(error_of(call.request_id));
}

}  // namespace paddlesrv::detail
