/// @file
/// A client over bRPC (baidu_std): Paddle Serving's GeneralModelService.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <paddlesrv/error.hpp>
#include <paddlesrv/infer.hpp>
#include <paddlesrv/tensor.hpp>

namespace paddlesrv {

/// How messages are compressed. Servers answer as they are asked; Paddle Serving's own answers by
/// gzip always.
enum class Compression : std::uint8_t { none = 0, gzip = 2, zlib = 3 };

/// How a bRPC client is to be.
struct BrpcOptions {
  std::chrono::milliseconds connect_timeout{5'000};  ///< For a connection to come about.
  std::chrono::milliseconds timeout{60'000};         ///< For a call with all its repetitions.
  RetryPolicy retries;                               ///< When infer asks again; infer_async never.
  Compression compression = Compression::none;       ///< Of requests.
  std::string authentication;  ///< The meta's authentication_data, unless empty.
  std::size_t max_answer_bytes = std::size_t{1} << 30;  ///< The most that an answer may hold.
};

/// Tensors for the model that takes them: the service's requests name none.
struct BrpcRequest {
  /// All inputs, by name or alias; types INT64, INT32, INT16, INT8, UINT8, FP64, FP32, FP16, BOOL
  /// and BYTES.
  std::vector<NamedTensor> inputs;
  std::vector<std::string> outputs{};  ///< Names or aliases of those that are wanted; all, if empty.
  std::uint64_t log_id = 0;            ///< For the server's log.
  std::optional<std::chrono::milliseconds> timeout{};  ///< Instead of the client's own.
};

/// Asks a server over one bRPC connection, which is made when it is needed and, once it is broken,
/// again. Requests of several calls are under way on it at once (pipelining).
///
/// Its methods may be called from several threads at once; it must not be moved or destroyed
/// meanwhile. A thread of its own sends, receives and keeps the time; looking up a host's name is
/// the one thing that it cannot give up when a call's time is over.
class BrpcClient {
 public:
  /// @param host A name or an address; nothing is sent yet.
  /// @param port The server's port: the one for all protocols, or one for bRPC.
  /// @param options How it is to be.
  /// @throws std::invalid_argument an option is none.
  BrpcClient(std::string host, std::uint16_t port, BrpcOptions options = {});
  /// Calls that are still under way end with a ConnectionError.
  ~BrpcClient();
  BrpcClient(BrpcClient&& other) noexcept;
  BrpcClient& operator=(BrpcClient&& other) noexcept;
  BrpcClient(const BrpcClient&) = delete;
  BrpcClient& operator=(const BrpcClient&) = delete;

  /// Tensors in, tensors out.
  /// @throws ServerError, ConnectionError, DeadlineError, MalformedAnswer; std::invalid_argument
  /// for a tensor that the protocol cannot carry.
  InferResult infer(const BrpcRequest& request);
  /// Tensors in, all outputs out. @see infer
  InferResult infer(std::vector<NamedTensor> inputs);

  /// The same, without waiting: the future has the result or the error. The call is made once.
  /// Calls wait for room on the connection in memory, so who starts thousands bounds them himself.
  /// @throws std::invalid_argument for a tensor that the protocol cannot carry.
  std::future<InferResult> infer_async(const BrpcRequest& request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace paddlesrv
