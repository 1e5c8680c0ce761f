#include <array>
#include <charconv>
#include <cmath>

#include <paddlesrv/json.hpp>

#include "text.hpp"

namespace paddlesrv {

namespace {

constexpr std::array<const char*, 6> kinds{"null", "a boolean", "a number", "a text", "a list",
                                           "an object"};

[[noreturn]] void wrong(const Json& value, const char* wanted) {
  throw JsonError(std::string(kinds[static_cast<std::size_t>(value.kind())]) + " where " + wanted +
                  " was expected");
}

template <class T>
bool finite(T value) {
  if constexpr (std::is_floating_point_v<T>) return std::isfinite(value);
  else return true;
}

template <class T>
void write_number(std::string& out, T value) {
  std::array<char, 32> room{};
  const auto end = std::to_chars(room.data(), room.data() + room.size(), value).ptr;
  out.append(room.data(), end);
}

}  // namespace

Json::Kind Json::kind() const noexcept {
  constexpr std::array<Kind, 8> of{Kind::null,   Kind::boolean, Kind::number, Kind::number,
                                   Kind::number, Kind::string,  Kind::array,  Kind::object};
  return of[value_.index()];
}

bool Json::as_bool() const {
  if (const bool* found = std::get_if<bool>(&value_)) return *found;
  wrong(*this, "a boolean");
}

double Json::as_double() const {
  if (const double* found = std::get_if<double>(&value_)) return *found;
  if (const auto* found = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*found);
  if (const auto* found = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*found);
  wrong(*this, "a number");
}

std::int64_t Json::as_int64() const {
  if (const auto* found = std::get_if<std::int64_t>(&value_)) return *found;
  if (const auto* found = std::get_if<std::uint64_t>(&value_); found && *found <= INT64_MAX) {
    return static_cast<std::int64_t>(*found);
  }
  wrong(*this, "an integer of 64 bits");
}

std::uint64_t Json::as_uint64() const {
  if (const auto* found = std::get_if<std::uint64_t>(&value_)) return *found;
  if (const auto* found = std::get_if<std::int64_t>(&value_); found && *found >= 0) {
    return static_cast<std::uint64_t>(*found);
  }
  wrong(*this, "an integer of 64 bits, not negative,");
}

const std::string& Json::as_string() const {
  if (const auto* found = std::get_if<std::string>(&value_)) return *found;
  wrong(*this, "a text");
}

const Json::Array& Json::items() const {
  if (const auto* found = std::get_if<Array>(&value_)) return *found;
  wrong(*this, "a list");
}

const Json::Object& Json::members() const {
  if (const auto* found = std::get_if<Object>(&value_)) return *found;
  wrong(*this, "an object");
}

const Json* Json::find(std::string_view name) const {
  for (const Member& member : members()) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view name) const {
  if (const Json* found = find(name)) return *found;
  throw JsonError("there is no \"" + std::string(name) + "\"");
}

const Json& Json::at(std::size_t index) const {
  const Array& all = items();
  if (index >= all.size()) {
    throw JsonError("item " + std::to_string(index) + " of a list of " + std::to_string(all.size()));
  }
  return all[index];
}

std::string Json::dump() const {
  std::string out;
  write(out);
  return out;
}

void Json::write(std::string& out) const {
  const char* between = "";
  const auto next = [&] {
    out += between;
    between = ",";
  };
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::nullptr_t>) {
          out += "null";
        } else if constexpr (std::is_same_v<T, bool>) {
          out += value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          detail::quote(out, value);
        } else if constexpr (std::is_same_v<T, Array>) {
          out += '[';
          for (const Json& item : value) {
            next();
            item.write(out);
          }
          out += ']';
        } else if constexpr (std::is_same_v<T, Object>) {
          out += '{';
          for (const Member& member : value) {
            next();
            detail::quote(out, member.name);
            out += ':';
            member.value.write(out);
          }
          out += '}';
        } else {
          if (!finite(value)) throw JsonError("JSON has no numbers that are not finite");
          write_number(out, value);
        }
      },
      value_);
}

}  // namespace paddlesrv
