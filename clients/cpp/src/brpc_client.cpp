#include <paddlesrv/brpc_client.hpp>

#include <stdexcept>
#include <utility>

#include "brpc_connection.hpp"
#include "compression.hpp"
#include "general_model.hpp"
#include "retry.hpp"
#include "text.hpp"

namespace paddlesrv {

using namespace detail;

namespace {

BrpcOptions checked(BrpcOptions options) {
  check(options.retries);
  options.timeout = detail::checked("timeout", options.timeout);
  options.connect_timeout = detail::checked("connect_timeout", options.connect_timeout);
  if (options.max_answer_bytes == 0) throw std::invalid_argument("max_answer_bytes must be positive");
  return options;
}

}  // namespace

class BrpcClient::Impl {
 public:
  Impl(std::string host, std::uint16_t port, const BrpcOptions& options)
      : options_(options), connection_(std::move(host), port, options) {}

  const BrpcOptions& options() const { return options_; }

  /// A request's call, which may be made several times.
  BrpcCall prepare(const BrpcRequest& request) const {
    const Deadline deadline(request.timeout.value_or(options_.timeout));
    std::string body = encode_general(request);
    if (options_.compression != Compression::none) {
      body = compress(options_.compression == Compression::gzip ? Coding::gzip : Coding::zlib, body);
    }
    return {deadline, random_id(), "", request.outputs, std::move(body), request.log_id};
  }

  std::future<InferResult> start(BrpcCall call) { return connection_.start(std::move(call)); }

 private:
  BrpcOptions options_;
  BrpcConnection connection_;
};

BrpcClient::BrpcClient(std::string host, std::uint16_t port, BrpcOptions options)
    : impl_(std::make_unique<Impl>(std::move(host), port, checked(std::move(options)))) {}
BrpcClient::~BrpcClient() = default;
BrpcClient::BrpcClient(BrpcClient&& other) noexcept = default;
BrpcClient& BrpcClient::operator=(BrpcClient&& other) noexcept = default;

InferResult BrpcClient::infer(const BrpcRequest& request) {
  const BrpcCall call = impl_->prepare(request);
  return with_retries(impl_->options().retries, call.deadline, call.request_id,
                      [&](const std::string& before) {
                        BrpcCall attempt = call;
                        attempt.before = before;
                        return impl_->start(std::move(attempt)).get();
                      });
}

InferResult BrpcClient::infer(std::vector<NamedTensor> inputs) {
  return infer(BrpcRequest{std::move(inputs)});
}

std::future<InferResult> BrpcClient::infer_async(const BrpcRequest& request) {
  return impl_->start(impl_->prepare(request));
}

}  // namespace paddlesrv
