// Tensors as the tests' lines carry them.
#pragma once

#include <string>
#include <string_view>

#include <paddlesrv/json.hpp>
#include <paddlesrv/tensor.hpp>

namespace driver {

/// Bytes in base64.
std::string base64(std::string_view bytes);

/// The bytes of base64, which is believed to be some.
std::string from_base64(std::string_view text);

/// A tensor from {"datatype", "shape", "data" or "strings", "lod"}, made as users make them.
paddlesrv::Tensor read(const paddlesrv::Json& json);

/// A tensor as `read` takes it.
paddlesrv::Json write(const paddlesrv::Tensor& tensor);

}  // namespace driver
