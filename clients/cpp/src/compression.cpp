#include "compression.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

#include <zlib.h>

#include "damage.hpp"

namespace paddlesrv::detail {

namespace {

constexpr int fast = 1, memory = 8;
constexpr std::size_t step = 256 << 10;

int window(Coding coding) { return coding == Coding::gzip ? MAX_WBITS + 16 : MAX_WBITS; }

const char* name(Coding coding) { return coding == Coding::gzip ? "gzip" : "zlib"; }

/// zlib's stream, with an end.
struct Stream : z_stream {
  int (*end)(z_streamp);

  explicit Stream(int (*ends)(z_streamp)) : z_stream(), end(ends) {}
  ~Stream() { end(this); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

/// As much of the input as zlib's counter holds.
void feed(z_stream& stream, std::string_view& rest) {
  if (stream.avail_in != 0) return;
  const std::size_t here = std::min<std::size_t>(rest.size(), std::numeric_limits<uInt>::max());
  stream.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(rest.data()));
  stream.avail_in = static_cast<uInt>(here);
  rest.remove_prefix(here);
}

/// Room for one more step behind what is there.
void make_room(z_stream& stream, std::string& out, std::size_t size) {
  out.resize(size + step);
  stream.next_out = reinterpret_cast<Bytef*>(out.data() + size);
  stream.avail_out = static_cast<uInt>(step);
}

}  // namespace

std::string compress(Coding coding, std::string_view bytes) {
  Stream stream(deflateEnd);
  if (deflateInit2(&stream, fast, Z_DEFLATED, window(coding), memory, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out;
  std::size_t size = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    feed(stream, bytes);
    make_room(stream, out, size);
    state = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
    if (state == Z_STREAM_ERROR) throw std::logic_error("zlib does not compress");
    size += step - stream.avail_out;
  }
  out.resize(size);
  return out;
}

std::string decompress(Coding coding, std::string_view bytes, std::size_t limit) {
  Stream stream(inflateEnd);
  if (inflateInit2(&stream, window(coding)) != Z_OK) throw std::bad_alloc();
  std::string out;
  std::size_t size = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    feed(stream, bytes);
    make_room(stream, out, size);
    state = inflate(&stream, Z_NO_FLUSH);
    size += step - stream.avail_out;
    if (state == Z_MEM_ERROR) throw std::bad_alloc();
    if (size > limit) {
      throw Damage("larger than " + std::to_string(limit) + " bytes, once unpacked");
    }
    if (state == Z_BUF_ERROR || (state == Z_OK && stream.avail_out != 0 && bytes.empty() &&
                                 stream.avail_in == 0)) {
      throw Damage(std::string("cut ") + name(coding));
    }
    if (state != Z_OK && state != Z_STREAM_END) {
      throw Damage(std::string("not ") + name(coding) + ", as it says");
    }
  }
  if (stream.avail_in != 0 || !bytes.empty()) {
    throw Damage(std::string("bytes are left behind what is ") + name(coding));
  }
  out.resize(size);
  return out;
}

}  // namespace paddlesrv::detail
