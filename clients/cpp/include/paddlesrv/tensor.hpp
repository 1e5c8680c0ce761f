/// @file
/// Tensors: a type, a shape, and elements in row-major order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <paddlesrv/half.hpp>

namespace paddlesrv {

/// Types of elements, as the Open Inference Protocol has them.
enum class DataType : std::uint8_t {
  boolean, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, float32, float64,
  bytes  ///< Strings of bytes of any length.
};

/// The protocol's name of a type, such as "FP32".
std::string_view name_of(DataType type) noexcept;

/// The type with a protocol's name; empty if there is none.
std::optional<DataType> datatype_named(std::string_view name) noexcept;

/// Bytes of one element; 0 for DataType::bytes, whose elements have lengths of their own.
std::size_t element_size(DataType type) noexcept;

namespace detail {
template <class T>
constexpr std::optional<DataType> datatype_for() noexcept {
  if constexpr (std::is_same_v<T, bool>) return DataType::boolean;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return DataType::uint8;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return DataType::uint16;
  else if constexpr (std::is_same_v<T, std::uint32_t>) return DataType::uint32;
  else if constexpr (std::is_same_v<T, std::uint64_t>) return DataType::uint64;
  else if constexpr (std::is_same_v<T, std::int8_t>) return DataType::int8;
  else if constexpr (std::is_same_v<T, std::int16_t>) return DataType::int16;
  else if constexpr (std::is_same_v<T, std::int32_t>) return DataType::int32;
  else if constexpr (std::is_same_v<T, std::int64_t>) return DataType::int64;
  else if constexpr (std::is_same_v<T, Half>) return DataType::float16;
  else if constexpr (std::is_same_v<T, float>) return DataType::float32;
  else if constexpr (std::is_same_v<T, double>) return DataType::float64;
  else return std::nullopt;
}

/// The number of elements of a shape.
/// @throws std::invalid_argument a side is negative, or the product is too large.
std::size_t element_count(const std::vector<std::int64_t>& shape);
}  // namespace detail

/// Elements that lie in a tensor: good as long as the tensor is there and not assigned to.
template <class T>
class View {
 public:
  View(const T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  const T* data() const noexcept { return data_; }           ///< The first element.
  std::size_t size() const noexcept { return size_; }        ///< How many there are.
  bool empty() const noexcept { return size_ == 0; }         ///< Whether there are none.
  const T* begin() const noexcept { return data_; }          ///< For loops.
  const T* end() const noexcept { return data_ + size_; }    ///< For loops.
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }  ///< Not checked.

 private:
  const T* data_;
  std::size_t size_;
};

/// A tensor; a value, which can be copied, moved and compared. Reading it from several threads
/// is safe.
class Tensor {
 public:
  using Shape = std::vector<std::int64_t>;    ///< Sides, the batch's first.
  using Offsets = std::vector<std::int64_t>;  ///< Level of detail: where sequences begin, and the end.

  /// An FP32 tensor of shape [0].
  Tensor() : shape_{0} {}

  /// A tensor of the type that T stands for: bool, std::int8_t to std::uint64_t, Half, float or
  /// double.
  /// @throws std::invalid_argument there are not as many values as the shape says.
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    Tensor made = empty<T>(std::move(shape), values.size());
    if constexpr (std::is_same_v<T, bool>) {
      for (std::size_t i = 0; i < values.size(); ++i) made.data_[i] = std::byte{values[i]};
    } else if (!values.empty()) {
      std::memcpy(made.data_.data(), values.data(), made.data_.size());
    }
    return made;
  }

  /// A tensor with a copy of so many elements.
  /// @throws std::invalid_argument there are not as many as the shape says.
  template <class T>
  static Tensor copy_of(Shape shape, const T* values, std::size_t count) {
    Tensor made = empty<T>(std::move(shape), count);
    if (count != 0) std::memcpy(made.data_.data(), values, made.data_.size());
    return made;
  }

  /// An FP16 tensor of the half floats nearest to these values.
  /// @throws std::invalid_argument there are not as many as the shape says.
  static Tensor of_halves(Shape shape, const std::vector<float>& values);

  /// A BYTES tensor: texts in UTF-8, or any other bytes.
  /// @throws std::invalid_argument there are not as many as the shape says.
  static Tensor of_strings(Shape shape, std::vector<std::string> values);

  /// A tensor of any type but BYTES from its elements' bytes, little endian.
  /// @throws std::invalid_argument they are not as many as the shape says, or a BOOL is neither 0
  /// nor 1.
  static Tensor of_raw(DataType type, Shape shape, std::string_view bytes);

  DataType datatype() const noexcept { return type_; }        ///< The type of its elements.
  const Shape& shape() const noexcept { return shape_; }      ///< Its sides.
  /// How many elements it has.
  std::size_t size() const noexcept;

  /// The elements where they lie. For FP16, T may be Half or std::uint16_t (the bits).
  /// @throws std::invalid_argument T is not the type of its elements.
  template <class T>
  View<T> values() const {
    constexpr std::optional<DataType> wanted = detail::datatype_for<T>();
    static_assert(wanted.has_value(), "no tensor has elements of this type");
    if (type_ != *wanted && !(type_ == DataType::float16 && std::is_same_v<T, std::uint16_t>)) {
      wrong_type(name_of(*wanted));
    }
    return {reinterpret_cast<const T*>(data_.data()), size()};
  }

  /// The elements of a BYTES tensor.
  /// @throws std::invalid_argument it is of another type.
  const std::vector<std::string>& strings() const;

  /// The elements as floats.
  /// @throws std::invalid_argument it is neither FP32 nor FP16: something would be lost.
  std::vector<float> to_floats() const;

  /// The elements' bytes, little endian; nothing for BYTES.
  std::string_view raw() const noexcept;

  /// Offsets of the sequences that lie one behind the other in it; none if it is no such tensor.
  const Offsets& lod() const noexcept { return lod_; }

  /// The same tensor, divided into sequences.
  /// @param offsets From 0 to the number of rows, none smaller than the one before.
  /// @throws std::invalid_argument they are no such offsets.
  Tensor with_lod(Offsets offsets) const&;
  Tensor with_lod(Offsets offsets) &&;  ///< @see with_lod

  /// Whether types, shapes, elements (bit for bit) and offsets are the same.
  friend bool operator==(const Tensor& a, const Tensor& b) noexcept {
    return a.type_ == b.type_ && a.shape_ == b.shape_ && a.data_ == b.data_ &&
           a.strings_ == b.strings_ && a.lod_ == b.lod_;
  }
  /// @see operator==
  friend bool operator!=(const Tensor& a, const Tensor& b) noexcept { return !(a == b); }

 private:
  template <class T>
  static Tensor empty(Shape shape, std::size_t count) {
    constexpr std::optional<DataType> type = detail::datatype_for<T>();
    static_assert(type.has_value(), "no tensor has elements of this type");
    static_assert(sizeof(bool) == 1 && sizeof(Half) == 2, "elements lie as they travel");
    Tensor made(*type, std::move(shape), count);
    made.data_.resize(count * sizeof(T));
    return made;
  }

  Tensor(DataType type, Shape shape, std::size_t count);
  [[noreturn]] void wrong_type(std::string_view wanted) const;

  DataType type_ = DataType::float32;
  Shape shape_;
  std::vector<std::byte> data_;
  std::vector<std::string> strings_;
  Offsets lod_;
};

/// A tensor with its name.
struct NamedTensor {
  std::string name;   ///< The model's own name for it.
  Tensor tensor;      ///< The tensor.
  std::string alias{};  ///< Its other name, where a protocol has one (bRPC); may be empty.
};

}  // namespace paddlesrv
