// Messages of Paddle Serving's GeneralModelService (PaddlePaddle/Serving v0.7.0,
// core/configure/proto/general_model_service.proto).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <paddlesrv/brpc_client.hpp>

namespace paddlesrv::detail {

/// A request's bytes.
/// @throws std::invalid_argument a tensor is of a type that has no number there.
std::string encode_general(const BrpcRequest& request);

/// The tensors of an answer.
/// @throws Damage, std::invalid_argument it is none, or lacks one of those that were wanted.
std::vector<NamedTensor> decode_general(std::string_view bytes,
                                        const std::vector<std::string>& wanted);

}  // namespace paddlesrv::detail
