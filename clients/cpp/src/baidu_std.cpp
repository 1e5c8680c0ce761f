#include "baidu_std.hpp"

#include <limits>
#include <stdexcept>

#include "damage.hpp"
#include "protobuf.hpp"
#include "text.hpp"

namespace paddlesrv::detail {

namespace {

constexpr std::string_view magic = "PRPC";
constexpr std::string_view service =
    "baidu.paddle_serving.predictor.general_model.GeneralModelService";
constexpr std::size_t header_size = 12;
constexpr std::size_t max_meta = 64 << 10;

void append_size(std::string& out, std::size_t size) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<unsigned char>(size >> static_cast<unsigned>(shift) & 0xffU));
  }
}

std::size_t size_at(std::string_view bytes, std::size_t place) {
  std::size_t size = 0;
  for (const char byte : bytes.substr(place, 4)) size = size << 8U | static_cast<unsigned char>(byte);
  return size;
}

void read_response(AnswerFrame& frame, std::string_view bytes) {
  ProtoReader reader(bytes);
  for (ProtoField field; reader.next(field);) {
    if (field.number == 1) frame.error_code = field.int32();
    if (field.number == 2) frame.error_text = field.text();
  }
}

AnswerFrame read_frame(std::string_view meta, std::string_view rest) {
  AnswerFrame frame;
  std::int64_t attached = 0;
  bool answers = false;
  ProtoReader reader(meta);
  for (ProtoField field; reader.next(field);) {
    switch (field.number) {
      case 2:
        answers = true;
        read_response(frame, field.bytes());
        break;
      case 3: frame.compress_type = field.int32(); break;
      case 4: frame.correlation_id = static_cast<std::int64_t>(field.varint()); break;
      case 5: attached = field.int32(); break;
      default: break;
    }
  }
  if (!answers) throw Damage("a frame that is no answer");
  if (attached < 0 || static_cast<std::uint64_t>(attached) > rest.size()) {
    throw Damage("an attachment of " + std::to_string(attached) + " bytes in " +
                 std::to_string(rest.size()));
  }
  frame.body = rest.substr(0, rest.size() - static_cast<std::size_t>(attached));
  return frame;
}

}  // namespace

std::string encode_frame(const CallMeta& meta, std::string_view body) {
  ProtoWriter request;
  request.bytes(1, service);
  request.bytes(2, "inference");
  request.number(3, static_cast<std::uint64_t>(meta.log_id));
  request.bytes(7, meta.request_id);
  request.number(8, static_cast<std::uint64_t>(meta.timeout_ms));
  ProtoWriter whole;
  whole.bytes(1, request.take());
  whole.number(3, static_cast<std::uint64_t>(meta.compress_type));
  whole.number(4, static_cast<std::uint64_t>(meta.correlation_id));
  whole.bytes(7, meta.authentication);
  const std::string head = whole.take();
  if (head.size() > max_meta || body.size() > std::numeric_limits<std::int32_t>::max() - head.size()) {
    throw std::invalid_argument("a request of " + std::to_string(body.size()) +
                                " bytes, which is more than a frame holds");
  }
  std::string frame;
  frame.reserve(header_size + head.size() + body.size());
  frame += magic;
  append_size(frame, head.size() + body.size());
  append_size(frame, head.size());
  frame += head;
  frame += body;
  return frame;
}

void FrameReader::feed(std::string_view bytes) {
  if (place_ != 0) {
    bytes_.erase(0, place_);
    place_ = 0;
  }
  bytes_ += bytes;
}

std::optional<AnswerFrame> FrameReader::next() {
  const std::string_view here = std::string_view(bytes_).substr(place_);
  if (here.substr(0, magic.size()) != magic.substr(0, here.size())) {
    throw Damage("a frame begins with PRPC, not with \"" + excerpt(here.substr(0, 40)) + "\"");
  }
  if (here.size() < header_size) return std::nullopt;
  const std::size_t size = size_at(here, 4);
  const std::size_t meta_size = size_at(here, 8);
  if (meta_size > size || meta_size > max_meta) {
    throw Damage("a meta of " + std::to_string(meta_size) + " bytes in a frame of " +
                 std::to_string(size));
  }
  if (size - meta_size > max_body_) {
    throw Damage("a message of " + std::to_string(size - meta_size) + " bytes is larger than " +
                 std::to_string(max_body_) + " bytes");
  }
  if (here.size() - header_size < size) return std::nullopt;
  place_ += header_size + size;
  return read_frame(here.substr(header_size, meta_size),
                    here.substr(header_size + meta_size, size - meta_size));
}

}  // namespace paddlesrv::detail
