#include "text.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <stdexcept>

#include <paddlesrv/json.hpp>

#include "retry.hpp"

namespace paddlesrv::detail {

namespace {

constexpr std::string_view hexadecimal = "0123456789ABCDEF";

/// The length of the character that a text begins with; 0 if it begins with none.
/// Well-formed sequences: the Unicode Standard, table 3-7.
std::size_t character(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  const unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (at(1) < least || at(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (at(i) < 0x80 || at(i) > 0xbf) return 0;
  }
  return length;
}

}  // namespace

std::size_t valid_utf8(std::string_view text) noexcept {
  std::size_t place = 0;
  while (place < text.size()) {
    const std::size_t length = character(text.substr(place));
    if (length == 0) break;
    place += length;
  }
  return place;
}

void quote(std::string& out, std::string_view text) {
  if (valid_utf8(text) != text.size()) throw JsonError("a text that is not UTF-8 has no form in JSON");
  out += '"';
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      out += '\\';
      out += letter;
    } else if (code < 0x20) {
      out += "\\u00";
      out += hexadecimal[code >> 4U];
      out += hexadecimal[code & 15U];
    } else {
      out += letter;
    }
  }
  out += '"';
}

std::string path_segment(std::string_view name) {
  if (name.empty() || name == "." || name == "..") {
    throw std::invalid_argument("nothing can be named \"" + std::string(name) + "\"");
  }
  constexpr std::string_view plain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string quoted;
  for (const char letter : name) {
    if (plain.find(letter) != std::string_view::npos) {
      quoted += letter;
    } else {
      const auto code = static_cast<unsigned char>(letter);
      quoted += '%';
      quoted += hexadecimal[code >> 4U];
      quoted += hexadecimal[code & 15U];
    }
  }
  return quoted;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t place = 0; place < bytes.size(); place += 3) {
    const std::size_t here = std::min<std::size_t>(3, bytes.size() - place);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < here ? static_cast<unsigned char>(bytes[place + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out += i <= here ? letters[group >> (18 - 6 * i) & 63U] : '=';
    }
  }
  return out;
}

std::string excerpt(std::string_view bytes) {
  constexpr std::size_t most = 200;
  const bool cut = bytes.size() > most;
  bytes = bytes.substr(0, most);
  std::string text(bytes.substr(0, valid_utf8(bytes)));
  std::replace_if(
      text.begin(), text.end(),
      [](char letter) { return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f; }, ' ');
  return cut ? text + "..." : text;
}

std::string random_id() {
  std::string id;
  for (std::uint64_t bits = random_bits(); id.size() < 16; bits >>= 4U) id += hexadecimal[bits & 15U];
  return id;
}

}  // namespace paddlesrv::detail
