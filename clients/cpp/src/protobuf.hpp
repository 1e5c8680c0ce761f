// Protocol Buffers' wire format, as far as the few messages of bRPC need it.
// Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "damage.hpp"

namespace paddlesrv::detail {

/// Appends fields to a message.
class ProtoWriter {
 public:
  /// A number or boolean, if it is not 0; a negative one as its 64 bits.
  void number(std::uint32_t field, std::uint64_t value);
  /// A text, bytes or a message, if it is not empty.
  void bytes(std::uint32_t field, std::string_view value);
  /// The same even if it is empty: an item of a repeated field.
  void item(std::uint32_t field, std::string_view value);
  /// Numbers as packed varints; negative ones as their 64 bits.
  template <class Values>
  void varints(std::uint32_t field, const Values& values) {
    std::string packed;
    for (const auto value : values) varint(packed, static_cast<std::uint64_t>(value));
    bytes(field, packed);
  }

  std::string take() { return std::move(out_); }

 private:
  static void varint(std::string& out, std::uint64_t value);

  std::string out_;
};

/// One field, as it came.
struct ProtoField {
  enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  std::uint32_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;   ///< Of a varint, or of fixed size.
  std::string_view content;  ///< Of bytes.

  std::uint64_t varint() const;      ///< @throws Damage it is no varint.
  std::int32_t int32() const;        ///< @throws Damage it is no varint.
  std::string_view bytes() const;    ///< @throws Damage it has another form.
  std::string text() const;          ///< @throws Damage it is not UTF-8.
};

/// Takes a message apart; what it does not know is skipped by its reader.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view message) : rest_(message) {}

  /// The next field, if there is one. @throws Damage the message is none.
  bool next(ProtoField& field);

 private:
  std::string_view rest_;
};

/// @throws Damage no varint stands at the beginning.
std::uint64_t take_varint(std::string_view& rest);

/// Appends the items of a repeated number that came in one field, packed or alone.
/// @throws Damage it is no such field.
template <class T>
void append_varints(std::vector<T>& out, const ProtoField& field) {
  if (field.wire == ProtoField::Wire::varint) {
    out.push_back(static_cast<T>(field.value));
    return;
  }
  for (std::string_view rest = field.bytes(); !rest.empty();) {
    out.push_back(static_cast<T>(take_varint(rest)));
  }
}

/// The same for numbers of a fixed size, to their bytes.
/// @throws Damage it is no such field.
template <class T>
void append_fixed(std::string& out, const ProtoField& field) {
  constexpr bool wide = sizeof(T) == 8;
  if (field.wire == (wide ? ProtoField::Wire::fixed64 : ProtoField::Wire::fixed32)) {
    out.append(reinterpret_cast<const char*>(&field.value), sizeof(T));  // little endian
    return;
  }
  const std::string_view packed = field.bytes();
  if (packed.size() % sizeof(T) != 0) throw Damage("numbers that are cut");
  out += packed;
}

}  // namespace paddlesrv::detail
