/// @file
/// What both clients have in common: what is asked with tensors, and when it is asked again.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <paddlesrv/tensor.hpp>

namespace paddlesrv {

/// How often, and after which waits, a call is made again when no server was reached, the
/// connection broke, or the server said that it is busy or not ready.
///
/// Before the n-th repetition a random time passes, up to first_delay doubled n - 1 times and at
/// most max_delay: many clients of one server shall not come back together. A Retry-After is
/// waited for on top. A wait that would end after the call's deadline is not begun: the error is
/// given at once. Asking a model twice does no harm, so every call may be repeated.
struct RetryPolicy {
  int attempts = 3;                              ///< At most, the first included.
  std::chrono::milliseconds first_delay{100};    ///< The longest wait before the first repetition.
  std::chrono::milliseconds max_delay{5000};     ///< The longest wait before any.
};

/// What came of an inference.
struct InferResult {
  std::string model;                 ///< The model that answered; empty over bRPC.
  std::string version;               ///< Its version; empty if it has none.
  std::string id;                    ///< The request's own id, if it had one.
  std::vector<NamedTensor> outputs;  ///< In the server's order.

  /// The output of that name or alias.
  /// @throws std::out_of_range there is none.
  const Tensor& output(std::string_view name) const;
};

}  // namespace paddlesrv
