// The Open Inference Protocol over HTTP (KServe's inference_rest.md), with Triton's binary tensors
// (extension_binary_data.md). Offsets travel as one more INT64 tensor, NAME.lod.
#pragma once

#include <paddlesrv/client.hpp>

#include "transport.hpp"

namespace paddlesrv::detail {

/// The path of a model's, such as /v2/models/NAME/versions/VERSION.
/// @throws std::invalid_argument a name can be none.
std::string model_path(std::string_view model, std::string_view version);

/// @throws std::invalid_argument, JsonError it cannot be asked.
Outgoing encode(const InferRequest& request);

/// @throws Damage, JsonError, std::invalid_argument it is no answer to the request.
InferResult decode_infer(const Answer& answer, const InferRequest& request);

ServerMetadata decode_server(const Answer& answer);  ///< @throws JsonError it is none.
ModelMetadata decode_model(const Answer& answer);    ///< @throws JsonError it is none.

/// Gives each tensor the offsets that lie beside it under NAME.lod.
/// @throws std::invalid_argument they do not fit.
void join_offsets(std::vector<NamedTensor>& outputs);

/// @throws Damage one of the names is not among the outputs, or one comes twice.
void check_outputs(const std::vector<NamedTensor>& outputs, const std::vector<std::string>& wanted);

}  // namespace paddlesrv::detail
