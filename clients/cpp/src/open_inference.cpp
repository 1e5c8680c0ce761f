#include "open_inference.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "damage.hpp"
#include "elements.hpp"
#include "text.hpp"

namespace paddlesrv::detail {

namespace {

constexpr std::string_view lod_suffix = ".lod";

void append_input(std::string& json, std::string& blobs, std::string_view name, const Tensor& tensor) {
  json += json.back() == '[' ? "{\"name\":" : ",{\"name\":";
  quote(json, name);
  json.append(",\"datatype\":\"").append(name_of(tensor.datatype())).append("\",\"shape\":[");
  for (std::size_t i = 0; i < tensor.shape().size(); ++i) {
    json += (i == 0 ? "" : ",") + std::to_string(tensor.shape()[i]);
  }
  const std::size_t before = blobs.size();
  append_wire(blobs, tensor);
  json += "],\"parameters\":{\"binary_data_size\":" + std::to_string(blobs.size() - before) + "}}";
}

std::size_t header_length(const Answer& answer) {
  if (answer.headers.count("inference-header-content-length") == 0) return answer.body.size();
  const std::string text = answer.header("inference-header-content-length");
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length > answer.body.size()) {
    throw Damage(std::string(header_length_name) + " is " + excerpt(text) + ", the body has " +
                 std::to_string(answer.body.size()) + " bytes");
  }
  return length;
}

std::string text_or(const Json& json, std::string_view name, const std::string& otherwise) {
  const Json* found = json.find(name);
  return found == nullptr || found->is_null() ? otherwise : found->as_string();
}

std::vector<std::int64_t> integers(const Json& list) {
  std::vector<std::int64_t> found;
  for (const Json& item : list.items()) found.push_back(item.as_int64());
  return found;
}

/// Takes an output's bytes off the front of those that are left.
Tensor read_output(const Json& output, std::string_view& rest) {
  const std::string& word = output.at("datatype").as_string();
  const std::optional<DataType> type = datatype_named(word);
  if (!type) throw Damage("unknown datatype " + excerpt(word));
  Tensor::Shape shape = integers(output.at("shape"));
  const Json* parameters = output.find("parameters");
  const Json* size = parameters == nullptr ? nullptr : parameters->find("binary_data_size");
  if (size == nullptr) return from_json(*type, std::move(shape), output.at("data"));
  if (output.find("data") != nullptr) throw Damage("data and binary_data_size at once");
  const std::uint64_t bytes = size->as_uint64();
  if (bytes > rest.size()) {
    throw Damage(std::to_string(bytes) + " bytes announced, " + std::to_string(rest.size()) + " left");
  }
  const std::string_view own = rest.substr(0, static_cast<std::size_t>(bytes));
  rest.remove_prefix(own.size());
  return from_wire(*type, std::move(shape), own);
}

std::vector<std::string> strings(const Json& json, std::string_view name) {
  std::vector<std::string> found;
  if (const Json* list = json.find(name)) {
    for (const Json& item : list->items()) found.push_back(item.as_string());
  }
  return found;
}

std::vector<TensorMetadata> tensors(const Json& json, std::string_view name) {
  std::vector<TensorMetadata> found;
  for (const Json& each : json.at(name).items()) {
    found.push_back({each.at("name").as_string(), each.at("datatype").as_string(),
                     integers(each.at("shape"))});
  }
  return found;
}

}  // namespace

std::string model_path(std::string_view model, std::string_view version) {
  std::string path = "/v2/models/" + path_segment(model);
  if (!version.empty()) path += "/versions/" + path_segment(version);
  return path;
}

Outgoing encode(const InferRequest& request) {
  std::unordered_set<std::string> names;
  const auto once = [&](const std::string& name) {
    if (!names.insert(name).second) throw std::invalid_argument("input \"" + name + "\" comes twice");
  };
  std::size_t room = 1024;
  for (const NamedTensor& input : request.inputs) room += wire_size(input.tensor);
  std::string json = "{";
  std::string blobs;
  if (!request.id.empty()) {
    json += "\"id\":";
    quote(json, request.id);
    json += ',';
  }
  json += "\"inputs\":[";
  for (const auto& [name, tensor, alias] : request.inputs) {
    once(name);
    append_input(json, blobs, name, tensor);
    if (!tensor.lod().empty()) {
      const std::string offsets = name + std::string(lod_suffix);
      once(offsets);
      const auto count = static_cast<std::int64_t>(tensor.lod().size());
      append_input(json, blobs, offsets, Tensor::of({count}, tensor.lod()));
    }
  }
  json += ']';
  if (!request.outputs.empty()) {
    json += ",\"outputs\":[";
    for (const std::string& name : request.outputs) {
      json += json.back() == '[' ? "{\"name\":" : ",{\"name\":";
      quote(json, name);
      json += ",\"parameters\":{\"binary_data\":true}}";
    }
    json += ']';
  }
  json += ",\"parameters\":{\"binary_data_output\":true}}";
  Outgoing made{model_path(request.model, request.version) + "/infer", "application/octet-stream",
                std::move(json), std::nullopt};
  made.header_length = made.body.size();
  made.body.reserve(made.body.size() + blobs.size());
  made.body += blobs;
  return made;
}

InferResult decode_infer(const Answer& answer, const InferRequest& request) {
  const std::string_view body = answer.body;
  const std::size_t length = header_length(answer);
  const Json json = Json::parse(body.substr(0, length));
  std::string_view rest = body.substr(length);
  InferResult result{text_or(json, "model_name", request.model), text_or(json, "model_version", ""),
                     text_or(json, "id", ""), {}};
  for (const Json& output : json.at("outputs").items()) {
    const std::string& name = output.at("name").as_string();
    try {
      result.outputs.push_back({name, read_output(output, rest)});
    } catch (const std::exception& error) {
      throw Damage("output \"" + excerpt(name) + "\": " + error.what());
    }
  }
  if (!rest.empty()) {
    throw Damage(std::to_string(rest.size()) + " bytes are left behind the last output");
  }
  check_outputs(result.outputs, request.outputs);
  join_offsets(result.outputs);
  return result;
}

void join_offsets(std::vector<NamedTensor>& outputs) {
  std::unordered_map<std::string, const Tensor*> found;
  for (const NamedTensor& each : outputs) found.emplace(each.name, &each.tensor);
  for (NamedTensor& each : outputs) {
    const auto beside = found.find(each.name + std::string(lod_suffix));
    if (beside == found.end()) continue;
    const Tensor& offsets = *beside->second;
    if (offsets.datatype() != DataType::int64 || offsets.shape().size() != 1) continue;
    const View<std::int64_t> values = offsets.values<std::int64_t>();
    each.tensor = std::move(each.tensor).with_lod({values.begin(), values.end()});
  }
}

void check_outputs(const std::vector<NamedTensor>& outputs, const std::vector<std::string>& wanted) {
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& each : outputs) {
    if (!names.insert(each.name).second) {
      throw Damage("output \"" + excerpt(each.name) + "\" comes twice");
    }
  }
  for (const NamedTensor& each : outputs) names.insert(each.alias);
  for (const std::string& name : wanted) {
    if (names.count(name) == 0) throw Damage("output \"" + name + "\" is missing");
  }
}

ServerMetadata decode_server(const Answer& answer) {
  const Json json = Json::parse(answer.body);
  return {json.at("name").as_string(), text_or(json, "version", ""), strings(json, "extensions")};
}

ModelMetadata decode_model(const Answer& answer) {
  const Json json = Json::parse(answer.body);
  const Json* properties = json.find("properties");
  return {json.at("name").as_string(), strings(json, "versions"),
          text_or(json, "platform", ""), tensors(json, "inputs"),
          tensors(json, "outputs"), properties == nullptr ? Json() : *properties};
}

}  // namespace paddlesrv::detail
