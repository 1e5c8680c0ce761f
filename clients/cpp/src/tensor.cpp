#include <paddlesrv/tensor.hpp>

#include <algorithm>
#include <array>
#include <limits>

#include <paddlesrv/infer.hpp>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements travel little endian, and are not turned round here"
#endif

namespace paddlesrv {

namespace {

struct Known {
  std::string_view name;
  std::size_t size;
};

// In the order of DataType.
constexpr std::array<Known, 13> types{{
    {"BOOL", 1}, {"UINT8", 1}, {"UINT16", 2}, {"UINT32", 4}, {"UINT64", 8}, {"INT8", 1},
    {"INT16", 2}, {"INT32", 4}, {"INT64", 8}, {"FP16", 2}, {"FP32", 4}, {"FP64", 8}, {"BYTES", 0},
}};

std::string described(const Tensor::Shape& shape) {
  std::string text = "[";
  for (const std::int64_t side : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(side);
  }
  return text + "]";
}

}  // namespace

std::string_view name_of(DataType type) noexcept { return types[static_cast<std::size_t>(type)].name; }

std::size_t element_size(DataType type) noexcept { return types[static_cast<std::size_t>(type)].size; }

std::optional<DataType> datatype_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

std::size_t detail::element_count(const std::vector<std::int64_t>& shape) {
  // So many of the largest elements can be counted in bytes too, whatever the order of sides.
  constexpr std::uint64_t most = std::numeric_limits<std::ptrdiff_t>::max() / 64;
  std::uint64_t count = 1;
  bool none = false;
  for (const std::int64_t side : shape) {
    if (side < 0) throw std::invalid_argument("a shape has no negative sides: " + described(shape));
    if (side == 0) {
      none = true;
    } else if (count > most / static_cast<std::uint64_t>(side)) {
      throw std::invalid_argument("a shape too large to be: " + described(shape));
    } else {
      count *= static_cast<std::uint64_t>(side);
    }
  }
  return none ? 0 : static_cast<std::size_t>(count);
}

Tensor::Tensor(DataType type, Shape shape, std::size_t count) : type_(type), shape_(std::move(shape)) {
  if (const std::size_t wanted = detail::element_count(shape_); wanted != count) {
    throw std::invalid_argument("shape " + described(shape_) + " has " + std::to_string(wanted) +
                                " elements, not " + std::to_string(count));
  }
}

Tensor Tensor::of_halves(Shape shape, const std::vector<float>& values) {
  return of(std::move(shape), std::vector<Half>(values.begin(), values.end()));
}

Tensor Tensor::of_strings(Shape shape, std::vector<std::string> values) {
  Tensor made(DataType::bytes, std::move(shape), values.size());
  made.strings_ = std::move(values);
  return made;
}

Tensor Tensor::of_raw(DataType type, Shape shape, std::string_view bytes) {
  const std::size_t each = element_size(type);
  if (each == 0) throw std::invalid_argument("elements of BYTES have no common size");
  if (bytes.size() % each != 0) {
    throw std::invalid_argument(std::to_string(bytes.size()) + " bytes are no whole number of " +
                                std::string(name_of(type)));
  }
  if (type == DataType::boolean &&
      std::any_of(bytes.begin(), bytes.end(), [](char byte) { return byte != 0 && byte != 1; })) {
    throw std::invalid_argument("a BOOL is 0 or 1");
  }
  Tensor made(type, std::move(shape), bytes.size() / each);
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  made.data_.assign(first, first + bytes.size());
  return made;
}

std::size_t Tensor::size() const noexcept {
  return type_ == DataType::bytes ? strings_.size() : data_.size() / element_size(type_);
}

const std::vector<std::string>& Tensor::strings() const {
  if (type_ != DataType::bytes) wrong_type("BYTES");
  return strings_;
}

std::vector<float> Tensor::to_floats() const {
  if (type_ == DataType::float16) {
    std::vector<float> wide;
    wide.reserve(size());
    for (const Half value : values<Half>()) wide.push_back(static_cast<float>(value));
    return wide;
  }
  const View<float> found = values<float>();
  return {found.begin(), found.end()};
}

std::string_view Tensor::raw() const noexcept {
  return {reinterpret_cast<const char*>(data_.data()), data_.size()};
}

Tensor Tensor::with_lod(Offsets offsets) const& { return Tensor(*this).with_lod(std::move(offsets)); }

Tensor Tensor::with_lod(Offsets offsets) && {
  const std::int64_t rows = shape_.empty() ? -1 : shape_.front();
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != rows ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    throw std::invalid_argument("offsets " + described(offsets) + " do not go from 0 to the rows of " +
                                described(shape_));
  }
  lod_ = std::move(offsets);
  return std::move(*this);
}

void Tensor::wrong_type(std::string_view wanted) const {
  throw std::invalid_argument("a tensor of " + std::string(name_of(type_)) + " has no elements of " +
                              std::string(wanted));
}

const Tensor& InferResult::output(std::string_view name) const {
  for (const NamedTensor& each : outputs) {
    if (each.name == name) return each.tensor;
  }
  for (const NamedTensor& each : outputs) {
    if (!each.alias.empty() && each.alias == name) return each.tensor;
  }
  std::string there;
  for (const NamedTensor& each : outputs) there += (there.empty() ? "" : ", ") + each.name;
  throw std::out_of_range("there is no output \"" + std::string(name) + "\"; there are " + there);
}

}  // namespace paddlesrv
