// One bRPC connection and the thread that sends, receives and keeps the time.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <paddlesrv/brpc_client.hpp>

#include "baidu_std.hpp"
#include "retry.hpp"
#include "socket.hpp"

namespace paddlesrv::detail {

/// A call as it is handed over.
struct BrpcCall {
  Deadline deadline;
  std::string request_id;
  std::string before;                ///< What was wrong with the attempt before.
  std::vector<std::string> outputs;  ///< Those that are wanted.
  std::string body;                  ///< The message, compressed as the options say.
  std::uint64_t log_id = 0;
};

/// Calls are handed over by any thread; all else is the business of its own.
class BrpcConnection {
 public:
  /// @throws std::system_error there is no thread or descriptor for it.
  BrpcConnection(std::string host, std::uint16_t port, const BrpcOptions& options);
  ~BrpcConnection();
  BrpcConnection(const BrpcConnection&) = delete;
  BrpcConnection& operator=(const BrpcConnection&) = delete;

  /// Begins a call. @throws std::invalid_argument it is larger than a frame.
  std::future<InferResult> start(BrpcCall call);

 private:
  struct Pending {
    Deadline deadline;
    std::string request_id;
    std::string before;
    std::vector<std::string> outputs;
    std::string frame;
    bool sent = false;  ///< At least its first byte.
    std::promise<InferResult> promise;
  };
  enum class State { closed, connecting, open };
  /// Makes the error of a call with that request id.
  using ErrorOf = std::function<std::exception_ptr(const std::string& request_id)>;

  void run();
  bool step();
  void expire();
  void wait();
  int milliseconds_to_wait();
  bool something_to_send();
  void connect();
  void connect_next(std::string reason);
  void connected();
  void send_queued();
  void receive();
  void settle(AnswerFrame frame);
  InferResult read(const AnswerFrame& frame, const Pending& call) const;
  void broken(const std::string& reason);
  void close(const ErrorOf& error_of, bool unsent_too);

  const std::string host_;
  const std::uint16_t port_;
  const BrpcOptions options_;
  const Bell bell_;

  std::mutex mutex_;  // of what stands here
  std::map<std::int64_t, Pending> calls_;
  std::deque<std::int64_t> queue_;
  std::int64_t last_number_ = 0;
  bool stopped_ = false;

  // The thread's own.
  State state_ = State::closed;
  Descriptor socket_;
  std::vector<Address> addresses_;
  Clock::time_point connect_end_;
  std::optional<FrameReader> reader_;
  std::string sending_;
  std::size_t sent_ = 0;
  bool answered_ = false;  ///< On this connection.
  bool readable_ = false, writable_ = false;

  std::thread thread_;
};

}  // namespace paddlesrv::detail
