/// @file
/// What can go wrong while a server is asked.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

namespace paddlesrv {

/// Base of all errors of a call. A wrong argument is a std::invalid_argument instead: no call is
/// made then.
class Error : public std::runtime_error {
 public:
  /// @param message What happened.
  /// @param request_id Under which the server's log has the call; empty if it has none.
  Error(const std::string& message, const std::string& request_id);

  /// Under which the server's log has the call; empty if it got no id.
  const std::string& request_id() const noexcept { return *request_id_; }

 private:
  std::shared_ptr<const std::string> request_id_;  // so that a copy cannot throw
};

/// The server, or something before it, answered that it will not do what was asked.
class ServerError : public Error {
 public:
  /// What a refusal says.
  struct Details {
    int status = 0;      ///< HTTP status (400: bad input, 404, 429: full); 0 over bRPC.
    int brpc_code = 0;   ///< bRPC's error code (1003: bad input, 2004: full); 0 over HTTP.
    std::string code;    ///< The kind in a word: "invalid-input"; over bRPC "EREQUEST".
    std::string hint;    ///< What to do next; empty if the server has no advice.
    std::chrono::seconds retry_after{0};  ///< How long the server asked to be left alone.
  };

  /// @param message What the server said.
  /// @param request_id Under which the server's log has the call.
  /// @param details The rest of it.
  ServerError(const std::string& message, const std::string& request_id, Details details);

  int status() const noexcept { return details_->status; }  ///< @see Details::status
  int brpc_code() const noexcept { return details_->brpc_code; }  ///< @see Details::brpc_code
  const std::string& code() const noexcept { return details_->code; }  ///< @see Details::code
  const std::string& hint() const noexcept { return details_->hint; }  ///< @see Details::hint
  /// @see Details::retry_after
  std::chrono::seconds retry_after() const noexcept { return details_->retry_after; }

  /// Whether the server is only too busy, or not ready: the same may work a little later.
  bool busy() const noexcept;

 private:
  std::shared_ptr<const Details> details_;
};

/// No connection came about, or it broke before the answer was there.
class ConnectionError : public Error {
 public:
  /// @param message What happened, with the address.
  /// @param request_id The call's id.
  /// @param temporary Whether the same may work a little later.
  ConnectionError(const std::string& message, const std::string& request_id, bool temporary);

  /// Whether the same may work a little later; not so if a certificate is not trusted.
  bool temporary() const noexcept { return temporary_; }

 private:
  bool temporary_;
};

/// The call's time was over before its answer was there.
class DeadlineError : public Error {
 public:
  using Error::Error;
};

/// What came is not what the protocol says: a cut body, a page of a proxy, wrong sizes.
class MalformedAnswer : public Error {
 public:
  using Error::Error;
};

}  // namespace paddlesrv
