/// @file
/// Values of JSON: what tasks answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace paddlesrv {

/// A text that is no JSON, or a value that is not what it was taken for.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A JSON value: null, a boolean, a number, a text, a list, or an object that keeps its order.
class Json {
 public:
  /// What a value can be.
  enum class Kind { null, boolean, number, string, array, object };
  struct Member;
  using Array = std::vector<Json>;     ///< Items of a list.
  using Object = std::vector<Member>;  ///< Members of an object.

  static constexpr std::size_t max_depth = 100;  ///< Of lists and objects in one another.

  Json() noexcept = default;                                 ///< null
  Json(std::nullptr_t) noexcept {}                           ///< null
  Json(const char* value) : value_(std::string(value)) {}    ///< A text, in UTF-8.
  Json(std::string value) : value_(std::move(value)) {}      ///< A text, in UTF-8.
  Json(Array items);                                         ///< A list.
  Json(Object members);                                      ///< An object.
  /// A boolean or a number, as exact as it is.
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  Json(T value) noexcept : value_(number(value)) {}
  /// A list of numbers, or of whatever else can be a value.
  template <class T, std::enable_if_t<!std::is_same_v<T, Json> && !std::is_same_v<T, Member>, int> = 0>
  explicit Json(const std::vector<T>& items) : Json(Array(items.begin(), items.end())) {}

  Json(const Json&) = default;
  Json(Json&&) noexcept = default;
  Json& operator=(const Json&) = default;
  Json& operator=(Json&&) noexcept = default;
  ~Json() = default;

  /// Reads a text (RFC 8259): UTF-8, no name twice in an object, no more than max_depth deep.
  /// @throws JsonError it is no such text; the message says where.
  static Json parse(std::string_view text);

  Kind kind() const noexcept;                                        ///< What it is.
  bool is_null() const noexcept { return kind() == Kind::null; }     ///< Whether it is null.

  bool as_bool() const;                  ///< @throws JsonError it is no boolean.
  double as_double() const;              ///< The nearest. @throws JsonError it is no number.
  std::int64_t as_int64() const;         ///< @throws JsonError it is no such integer.
  std::uint64_t as_uint64() const;       ///< @throws JsonError it is no such integer.
  const std::string& as_string() const;  ///< @throws JsonError it is no text.
  const Array& items() const;            ///< @throws JsonError it is no list.
  const Object& members() const;         ///< @throws JsonError it is no object.

  /// An object's member of that name, or nothing.
  /// @throws JsonError it is no object.
  const Json* find(std::string_view name) const;
  /// An object's member. @throws JsonError it is no object, or has none of that name.
  const Json& at(std::string_view name) const;
  /// A list's item. @throws JsonError it is no list, or not so long.
  const Json& at(std::size_t index) const;

  /// The value in one line.
  /// @throws JsonError it has a number that is not finite, or a text that is not UTF-8.
  std::string dump() const;

 private:
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
                             Array, Object>;

  template <class T>
  static Value number(T value) noexcept {
    if constexpr (std::is_same_v<T, bool>) return value;
    else if constexpr (std::is_floating_point_v<T>) return static_cast<double>(value);
    else if constexpr (std::is_signed_v<T>) return static_cast<std::int64_t>(value);
    else return static_cast<std::uint64_t>(value);
  }

  void write(std::string& out) const;

  Value value_ = nullptr;
};

/// A member of an object.
struct Json::Member {
  std::string name;  ///< Its name.
  Json value;        ///< Its value.
};

inline Json::Json(Array items) : value_(std::move(items)) {}
inline Json::Json(Object members) : value_(std::move(members)) {}

}  // namespace paddlesrv
