#include "wire.hpp"

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

namespace driver {

using paddlesrv::DataType;
using paddlesrv::Half;
using paddlesrv::Json;
using paddlesrv::Tensor;

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Calls a function with a value of the type that the elements of a tensor of numbers have.
template <class Function>
auto with_element(DataType type, const Function& function) {
  switch (type) {
    case DataType::boolean: return function(bool{});
    case DataType::uint8: return function(std::uint8_t{});
    case DataType::uint16: return function(std::uint16_t{});
    case DataType::uint32: return function(std::uint32_t{});
    case DataType::uint64: return function(std::uint64_t{});
    case DataType::int8: return function(std::int8_t{});
    case DataType::int16: return function(std::int16_t{});
    case DataType::int32: return function(std::int32_t{});
    case DataType::int64: return function(std::int64_t{});
    case DataType::float16: return function(Half{});
    case DataType::float32: return function(float{});
    case DataType::float64: return function(double{});
    case DataType::bytes: break;
  }
  throw std::logic_error("no numbers");
}

Tensor numbers(DataType type, const Tensor::Shape& shape, const std::string& bytes) {
  return with_element(type, [&](auto element) {
    using T = decltype(element);
    std::vector<T> values(bytes.size() / sizeof(T));
    if constexpr (std::is_same_v<T, bool>) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = bytes[i] != 0;
    } else if (!bytes.empty()) {
      std::memcpy(values.data(), bytes.data(), bytes.size());
    }
    return Tensor::of(shape, values);
  });
}

std::string bytes_of(const Tensor& tensor) {
  return with_element(tensor.datatype(), [&](auto element) {
    using T = decltype(element);
    const auto values = tensor.values<T>();
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  });
}

}  // namespace

std::string base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? alphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (const char letter : text) {
    if (letter == '=') break;
    group = group << 6 | static_cast<std::uint32_t>(alphabet.find(letter));
    bits += 6;
    if (bits >= 8) out += static_cast<char>(group >> (bits -= 8) & 255);
  }
  return out;
}

Tensor read(const Json& json) {
  const auto type = paddlesrv::datatype_named(json.at("datatype").as_string());
  if (!type) throw std::invalid_argument("unknown type " + json.at("datatype").as_string());
  Tensor::Shape shape;
  for (const Json& side : json.at("shape").items()) shape.push_back(side.as_int64());
  Tensor made;
  if (*type == DataType::bytes) {
    std::vector<std::string> strings;
    for (const Json& each : json.at("strings").items()) {
      strings.push_back(from_base64(each.as_string()));
    }
    made = Tensor::of_strings(shape, std::move(strings));
  } else {
    made = numbers(*type, shape, from_base64(json.at("data").as_string()));
  }
  if (const Json* lod = json.find("lod")) {
    Tensor::Offsets offsets;
    for (const Json& offset : lod->items()) offsets.push_back(offset.as_int64());
    return std::move(made).with_lod(std::move(offsets));
  }
  return made;
}

Json write(const Tensor& tensor) {
  Json::Object told{{"datatype", std::string(paddlesrv::name_of(tensor.datatype()))},
                    {"shape", Json(tensor.shape())}};
  if (!tensor.lod().empty()) told.push_back({"lod", Json(tensor.lod())});
  if (tensor.datatype() == DataType::bytes) {
    Json::Array strings;
    for (const std::string& each : tensor.strings()) strings.push_back(base64(each));
    told.push_back({"strings", std::move(strings)});
  } else {
    told.push_back({"data", base64(bytes_of(tensor))});
  }
  return told;
}

}  // namespace driver
