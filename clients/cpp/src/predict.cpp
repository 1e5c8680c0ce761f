#include "predict.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "damage.hpp"
#include "text.hpp"

namespace paddlesrv {

Picture Picture::read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream.is_open() || stream.bad() || bytes.empty()) {
    throw std::runtime_error("there is no picture in " + file.string());
  }
  return {std::move(bytes)};
}

namespace detail {

namespace {

std::string query(const PredictRequest& request, bool draw) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& value) {
    text += (text.empty() ? "?" : "&") + name + "=" + path_segment(value);
  };
  if (request.top) add("top", std::to_string(*request.top));
  if (request.threshold) add("threshold", Json(*request.threshold).dump());
  if (request.tokens) add("tokens", "1");
  if (draw) add("draw", "1");
  return text;
}

Json as_json(const Item& item) {
  if (const auto* picture = std::get_if<Picture>(&item)) return base64(picture->bytes);
  if (const auto* text = std::get_if<Text>(&item)) return text->value;
  const Json& row = std::get<Features>(item).values;
  if (row.kind() != Json::Kind::array && row.kind() != Json::Kind::object) {
    throw std::invalid_argument("features are a list, or an object by their names");
  }
  return row;
}

}  // namespace

Outgoing encode(const PredictRequest& request, bool draw) {
  if (request.items.empty()) throw std::invalid_argument("there is nothing to look at");
  const std::size_t kind = request.items.front().index();
  if (std::any_of(request.items.begin(), request.items.end(),
                  [&](const Item& item) { return item.index() != kind; })) {
    throw std::invalid_argument("pictures, texts and features are asked one kind at a time");
  }
  Outgoing made{"/predict/" + path_segment(request.model) + query(request, draw),
                "application/json", {}, std::nullopt};
  if (const auto* picture = std::get_if<Picture>(&request.items.front());
      picture != nullptr && request.items.size() == 1) {
    if (picture->bytes.empty()) throw std::invalid_argument("the picture is empty");
    made.content_type = "application/octet-stream";  // base64 would make it a third larger
    made.body = picture->bytes;
    return made;
  }
  Json::Array items;
  for (const Item& item : request.items) items.push_back(as_json(item));
  const char* name = kind == 0 ? "images" : kind == 1 ? "texts" : "features";
  made.body = Json(Json::Object{{name, std::move(items)}}).dump();
  return made;
}

Prediction decode_prediction(const Answer& answer, std::size_t items) {
  Json json = Json::parse(answer.body);
  Prediction found{json.at("model").as_string(), json.at("task").as_string(),
                   json.at("results").items(), {}};
  if (found.results.size() != items) {
    throw Damage(std::to_string(found.results.size()) + " results for " + std::to_string(items));
  }
  found.json = std::move(json);
  return found;
}

std::string decode_picture(Answer answer) {
  if (answer.header("content-type").substr(0, 6) != "image/") throw Damage("not a picture");
  return std::move(answer.body);
}

}  // namespace detail

}  // namespace paddlesrv
