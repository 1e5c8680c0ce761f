// Texts: UTF-8, quoting for JSON and for paths, base64.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace paddlesrv::detail {

/// How many bytes at the beginning of a text are whole characters of UTF-8.
std::size_t valid_utf8(std::string_view text) noexcept;

/// A text as JSON has it. @throws JsonError it is not UTF-8.
void quote(std::string& out, std::string_view text);

/// A name as one segment of a path: all but letters, digits and -._~ as %XX.
/// @throws std::invalid_argument it can be none: empty, "." or "..".
std::string path_segment(std::string_view name);

/// Bytes in base64.
std::string base64(std::string_view bytes);

/// The beginning of something unknown, fit for one line of a message.
std::string excerpt(std::string_view bytes);

/// A name for a call that no other call will have.
std::string random_id();

}  // namespace paddlesrv::detail
