#include <paddlesrv/error.hpp>

#include <utility>

namespace paddlesrv {

namespace {
constexpr int elogoff = 2003, elimit = 2004;  // apache/brpc, src/brpc/errno.proto
}

Error::Error(const std::string& message, const std::string& request_id)
    : std::runtime_error(message), request_id_(std::make_shared<const std::string>(request_id)) {}

ServerError::ServerError(const std::string& message, const std::string& request_id, Details details)
    : Error(message, request_id), details_(std::make_shared<const Details>(std::move(details))) {}

bool ServerError::busy() const noexcept {
  return status() == 429 || status() == 503 || brpc_code() == elogoff || brpc_code() == elimit;
}

ConnectionError::ConnectionError(const std::string& message, const std::string& request_id,
                                 bool temporary)
    : Error(message, request_id), temporary_(temporary) {}

}  // namespace paddlesrv
