// HTTP by libcurl: one message there, one answer back.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <paddlesrv/client.hpp>

#include "retry.hpp"

namespace paddlesrv::detail {

inline constexpr const char* header_length_name = "Inference-Header-Content-Length";

/// What is sent.
struct Outgoing {
  std::string path;          ///< With its query, without the server's address.
  std::string content_type;  ///< Empty: a GET without a body.
  std::string body;
  /// Of the JSON in front of tensors' bytes, where there are any.
  std::optional<std::size_t> header_length;
};

/// What came, no longer compressed.
struct Answer {
  long status = 0;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;
  std::chrono::seconds retry_after{0};
  std::string request_id;

  bool succeeded() const { return status >= 200 && status < 300; }
  std::string header(const std::string& name) const;
};

/// Connections to one server; for all threads.
class Transport {
 public:
  /// @throws std::invalid_argument the address, or an option, is none.
  Transport(std::string url, ClientOptions options);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Makes one attempt.
  /// @param before What was wrong with the attempt before.
  /// @throws ConnectionError, DeadlineError, MalformedAnswer
  Answer send(const Outgoing& message, const Deadline& deadline, const std::string& request_id,
              const std::string& before) const;

  const ClientOptions& options() const { return options_; }

 private:
  class Handle;
  class Exchange;
  std::unique_ptr<Handle> take() const;
  void give_back(std::unique_ptr<Handle> handle) const;

  std::string url_;
  ClientOptions options_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Handle>> idle_;
};

}  // namespace paddlesrv::detail
