#include "protobuf.hpp"

#include "text.hpp"

namespace paddlesrv::detail {

void ProtoWriter::varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) {
    out += static_cast<char>(static_cast<unsigned char>((value & 0x7fU) | 0x80U));
  }
  out += static_cast<char>(static_cast<unsigned char>(value));
}

void ProtoWriter::number(std::uint32_t field, std::uint64_t value) {
  if (value == 0) return;
  varint(out_, std::uint64_t{field} << 3U);
  varint(out_, value);
}

void ProtoWriter::bytes(std::uint32_t field, std::string_view value) {
  if (!value.empty()) item(field, value);
}

void ProtoWriter::item(std::uint32_t field, std::string_view value) {
  varint(out_, std::uint64_t{field} << 3U | 2U);
  varint(out_, value.size());
  out_ += value;
}

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < rest.size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>(rest[i]);
    if (i == 9 && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) {
      rest.remove_prefix(i + 1);
      return value;
    }
  }
  throw Damage("a number that is cut or has more than 64 bits");
}

std::uint64_t ProtoField::varint() const {
  if (wire != Wire::varint) throw Damage("field " + std::to_string(number) + " is no number");
  return value;
}

std::int32_t ProtoField::int32() const {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(varint()));
}

std::string_view ProtoField::bytes() const {
  if (wire != Wire::bytes) throw Damage("field " + std::to_string(number) + " has another form");
  return content;
}

std::string ProtoField::text() const {
  const std::string_view found = bytes();
  if (valid_utf8(found) != found.size()) {
    throw Damage("field " + std::to_string(number) + " is not UTF-8");
  }
  return std::string(found);
}

bool ProtoReader::next(ProtoField& field) {
  if (rest_.empty()) return false;
  const std::uint64_t tag = take_varint(rest_);
  if (tag >> 3U == 0 || tag > 0xffffffffU) throw Damage("a field's number that is none");
  field = {};
  field.number = static_cast<std::uint32_t>(tag >> 3U);
  const auto fixed = [&](std::size_t size) {
    if (rest_.size() < size) throw Damage("a number that is cut");
    std::memcpy(&field.value, rest_.data(), size);
    rest_.remove_prefix(size);
  };
  switch (tag & 7U) {
    case 0:
      field.wire = ProtoField::Wire::varint;
      field.value = take_varint(rest_);
      return true;
    case 1:
      field.wire = ProtoField::Wire::fixed64;
      fixed(8);
      return true;
    case 2: {
      field.wire = ProtoField::Wire::bytes;
      const std::uint64_t size = take_varint(rest_);
      if (size > rest_.size()) {
        throw Damage(std::to_string(size) + " bytes announced, " + std::to_string(rest_.size()) +
                     " left");
      }
      field.content = rest_.substr(0, static_cast<std::size_t>(size));
      rest_.remove_prefix(field.content.size());
      return true;
    }
    case 5:
      field.wire = ProtoField::Wire::fixed32;
      fixed(4);
      return true;
    default: throw Damage("a field of an unknown form");
  }
}

}  // namespace paddlesrv::detail
