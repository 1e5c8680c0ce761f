// Frames of bRPC's protocol baidu_std (apache/brpc, docs/en/baidu_std.md): "PRPC", the length of
// all that follows the header and the length of the meta, both 32 bits in network byte order; the
// meta, the message, and an attachment, whose length stands in the meta.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paddlesrv::detail {

/// What is said of a call (brpc.policy.RpcMeta with its RpcRequestMeta).
struct CallMeta {
  std::int64_t correlation_id = 0;
  std::int32_t compress_type = 0;
  std::int64_t log_id = 0;
  std::int32_t timeout_ms = 0;
  std::string request_id;
  std::string authentication;
};

/// An answer's frame (RpcMeta with its RpcResponseMeta).
struct AnswerFrame {
  std::int64_t correlation_id = 0;
  std::int32_t compress_type = 0;
  std::int32_t error_code = 0;
  std::string error_text;
  std::string body;  ///< The message, as it was sent, without an attachment.
};

/// The bytes of a call of GeneralModelService.inference.
/// @throws std::invalid_argument the message is larger than a frame.
std::string encode_frame(const CallMeta& meta, std::string_view body);

/// Bytes in, in whatever pieces they come; frames out.
class FrameReader {
 public:
  /// @param max_body Bytes of a frame behind its header and its meta.
  explicit FrameReader(std::size_t max_body) : max_body_(max_body) {}

  /// Takes more bytes.
  void feed(std::string_view bytes);

  /// The next frame, if it is whole.
  /// @throws Damage what came is no frame, or too large; nothing more can be read.
  std::optional<AnswerFrame> next();

 private:
  std::size_t max_body_;
  std::string bytes_;
  std::size_t place_ = 0;
};

}  // namespace paddlesrv::detail
