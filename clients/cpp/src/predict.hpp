// POST /predict/MODEL: pictures, texts or features in, what the task found out.
#pragma once

#include <paddlesrv/client.hpp>

#include "transport.hpp"

namespace paddlesrv::detail {

/// @param draw Whether a picture is to come back.
/// @throws std::invalid_argument, JsonError it cannot be asked.
Outgoing encode(const PredictRequest& request, bool draw);

/// @throws Damage, JsonError it is no prediction.
Prediction decode_prediction(const Answer& answer, std::size_t items);

/// The picture in an answer. @throws Damage there is none.
std::string decode_picture(Answer answer);

}  // namespace paddlesrv::detail
