#include "elements.hpp"

#include <cmath>
#include <limits>

#include "damage.hpp"

namespace paddlesrv::detail {

namespace {

constexpr std::size_t length_size = 4;

void leaves(const Json& data, std::vector<const Json*>& found) {
  for (const Json& item : data.items()) {  // whose depth the reader has bounded
    if (item.kind() == Json::Kind::array) {
      leaves(item, found);
    } else {
      found.push_back(&item);
    }
  }
}

template <class T>
T number(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value.as_bool();
  } else if constexpr (std::is_same_v<T, Half>) {
    return Half(number<float>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    const double wide = value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.as_double();
    // A conversion out of range would be undefined.
    if (std::isfinite(wide) && std::abs(wide) > static_cast<double>(std::numeric_limits<T>::max())) {
      throw Damage("a number that is too large for FP32");
    }
    return static_cast<T>(wide);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    return value.as_uint64();
  } else {
    const std::int64_t wide = value.as_int64();
    if (wide < std::int64_t{std::numeric_limits<T>::min()} ||
        wide > std::int64_t{std::numeric_limits<T>::max()}) {
      throw Damage(std::to_string(wide) + " is out of the type's range");
    }
    return static_cast<T>(wide);
  }
}

template <class T>
Tensor numbers(Tensor::Shape shape, const std::vector<const Json*>& found) {
  std::vector<T> values;
  values.reserve(found.size());
  for (const Json* value : found) values.push_back(number<T>(*value));
  return Tensor::of(std::move(shape), values);
}

Tensor strings(Tensor::Shape shape, std::string_view bytes) {
  std::vector<std::string> values;
  while (!bytes.empty()) {
    if (bytes.size() < length_size) throw Damage("the length of a string is cut");
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data(), length_size);
    bytes.remove_prefix(length_size);
    if (length > bytes.size()) {
      throw Damage("a string of " + std::to_string(length) + " bytes, of which " +
                   std::to_string(bytes.size()) + " are there");
    }
    values.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return Tensor::of_strings(std::move(shape), std::move(values));
}

}  // namespace

std::size_t wire_size(const Tensor& tensor) {
  if (tensor.datatype() != DataType::bytes) return tensor.raw().size();
  std::size_t size = 0;
  for (const std::string& each : tensor.strings()) size += length_size + each.size();
  return size;
}

void append_wire(std::string& out, const Tensor& tensor) {
  if (tensor.datatype() != DataType::bytes) {
    out += tensor.raw();
    return;
  }
  for (const std::string& each : tensor.strings()) {
    if (each.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw std::invalid_argument("an element of BYTES has less than 4 GiB");
    }
    const auto length = static_cast<std::uint32_t>(each.size());
    out.append(reinterpret_cast<const char*>(&length), length_size);
    out += each;
  }
}

Tensor from_wire(DataType type, Tensor::Shape shape, std::string_view bytes) {
  return type == DataType::bytes ? strings(std::move(shape), bytes)
                                 : Tensor::of_raw(type, std::move(shape), bytes);
}

Tensor from_json(DataType type, Tensor::Shape shape, const Json& data) {
  std::vector<const Json*> found;
  leaves(data, found);
  if (element_count(shape) != found.size()) {  // before room is made for what a shape says
    throw Damage(std::to_string(found.size()) + " values where the shape says " +
                 std::to_string(element_count(shape)));
  }
  switch (type) {
    case DataType::boolean: return numbers<bool>(std::move(shape), found);
    case DataType::uint8: return numbers<std::uint8_t>(std::move(shape), found);
    case DataType::uint16: return numbers<std::uint16_t>(std::move(shape), found);
    case DataType::uint32: return numbers<std::uint32_t>(std::move(shape), found);
    case DataType::uint64: return numbers<std::uint64_t>(std::move(shape), found);
    case DataType::int8: return numbers<std::int8_t>(std::move(shape), found);
    case DataType::int16: return numbers<std::int16_t>(std::move(shape), found);
    case DataType::int32: return numbers<std::int32_t>(std::move(shape), found);
    case DataType::int64: return numbers<std::int64_t>(std::move(shape), found);
    case DataType::float16: return numbers<Half>(std::move(shape), found);
    case DataType::float32: return numbers<float>(std::move(shape), found);
    case DataType::float64: return numbers<double>(std::move(shape), found);
    case DataType::bytes: break;
  }
  std::vector<std::string> texts;
  texts.reserve(found.size());
  for (const Json* value : found) texts.push_back(value->as_string());
  return Tensor::of_strings(std::move(shape), std::move(texts));
}

}  // namespace paddlesrv::detail
