// gzip and zlib, by zlib; what is unpacked has a limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace paddlesrv::detail {

enum class Coding { gzip, zlib };

/// The bytes, compressed fast rather than well.
std::string compress(Coding coding, std::string_view bytes);

/// What was compressed.
/// @throws Damage it is not of that kind, is cut, has something behind it, or unpacks to more than
/// `limit` bytes.
std::string decompress(Coding coding, std::string_view bytes, std::size_t limit);

}  // namespace paddlesrv::detail
