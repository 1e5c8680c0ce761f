// Elements of tensors as the Open Inference Protocol has them: in bytes and in JSON.
#pragma once

#include <string>
#include <string_view>

#include <paddlesrv/json.hpp>
#include <paddlesrv/tensor.hpp>

namespace paddlesrv::detail {

/// How many bytes `append_wire` appends.
std::size_t wire_size(const Tensor& tensor);

/// A tensor's elements as they travel: little endian; each of BYTES behind its length in 4 bytes.
/// @throws std::invalid_argument an element of BYTES has 4 GiB or more.
void append_wire(std::string& out, const Tensor& tensor);

/// The tensor of such bytes.
/// @throws Damage, std::invalid_argument they are not what type and shape say.
Tensor from_wire(DataType type, Tensor::Shape shape, std::string_view bytes);

/// The tensor of a list in JSON, nested or flat. null is read as NaN: servers write it for numbers
/// that JSON has none for.
/// @throws Damage, JsonError, std::invalid_argument they are not what type and shape say.
Tensor from_json(DataType type, Tensor::Shape shape, const Json& data);

}  // namespace paddlesrv::detail
