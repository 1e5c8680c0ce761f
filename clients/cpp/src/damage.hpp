// What decoders throw; whoever knows the call makes a MalformedAnswer of it.
#pragma once

#include <stdexcept>

namespace paddlesrv::detail {

/// Bytes that are not what the protocol says.
class Damage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace paddlesrv::detail
