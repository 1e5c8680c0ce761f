// Does what each line of its input says, and tells in a line what came of it.
#include <chrono>
#include <cstring>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <paddlesrv/brpc_client.hpp>
#include <paddlesrv/client.hpp>

#include "wire.hpp"

namespace {

using namespace paddlesrv;
using std::chrono::milliseconds;

template <class Options>
void common(Options& options, const Json& settings) {
  if (const Json* ms = settings.find("timeout_ms")) options.timeout = milliseconds(ms->as_int64());
  if (const Json* n = settings.find("attempts")) {
    options.retries = {static_cast<int>(n->as_int64()), milliseconds(0), milliseconds(1)};
  }
  if (const Json* n = settings.find("max_answer")) {
    options.max_answer_bytes = static_cast<std::size_t>(n->as_int64());
  }
}

std::unique_ptr<Client> over_http(const Json& settings) {
  ClientOptions options;
  common(options, settings);
  if (const Json* flag = settings.find("compress")) options.compress_requests = flag->as_bool();
  if (const Json* flag = settings.find("compress_answers")) {
    options.compress_answers = flag->as_bool();
  }
  if (const Json* token = settings.find("token")) options.bearer_token = token->as_string();
  if (const Json* headers = settings.find("headers")) {
    for (const auto& each : headers->members()) {
      options.headers.emplace_back(each.name, each.value.as_string());
    }
  }
  if (const Json* file = settings.find("trust")) options.tls.ca_file = file->as_string();
  options.proxy = "";
  return std::make_unique<Client>(settings.at("url").as_string(), options);
}

std::unique_ptr<BrpcClient> over_brpc(const Json& settings) {
  BrpcOptions options;
  common(options, settings);
  if (const Json* word = settings.find("compression")) {
    const std::string& name = word->as_string();
    options.compression = name == "gzip"   ? Compression::gzip
                          : name == "zlib" ? Compression::zlib
                                           : Compression::none;
  }
  const std::string address = settings.at("brpc").as_string();
  const std::size_t colon = address.rfind(':');
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
  return std::make_unique<BrpcClient>(address.substr(0, colon), port, options);
}

std::vector<std::string> words(const Json* list) {
  std::vector<std::string> found;
  if (list != nullptr) {
    for (const Json& each : list->items()) found.push_back(each.as_string());
  }
  return found;
}

std::vector<NamedTensor> inputs(const Json& command) {
  std::vector<NamedTensor> found;
  for (const auto& each : command.at("inputs").members()) {
    found.push_back({each.name, driver::read(each.value)});
  }
  return found;
}

InferRequest inference(const Json& command) {
  InferRequest request;
  request.model = command.at("model").as_string();
  request.inputs = inputs(command);
  request.outputs = words(command.find("outputs"));
  if (const Json* id = command.find("id")) request.id = id->as_string();
  if (const Json* version = command.find("version")) request.version = version->as_string();
  return request;
}

PredictRequest prediction(const Json& command) {
  PredictRequest request;
  request.model = command.at("model").as_string();
  for (const auto& file : words(command.find("pictures"))) {
    request.items.emplace_back(Picture::read(file));
  }
  for (const auto& text : words(command.find("texts"))) request.items.emplace_back(Text{text});
  for (const char* name : {"features", "named"}) {
    if (const Json* row = command.find(name)) request.items.emplace_back(Features{*row});
  }
  if (const Json* top = command.find("top")) request.top = static_cast<int>(top->as_int64());
  if (const Json* score = command.find("threshold")) request.threshold = score->as_double();
  return request;
}

Json told(const InferResult& result) {
  Json::Object outputs;
  for (const NamedTensor& each : result.outputs) {
    outputs.push_back({each.name, driver::write(each.tensor)});
  }
  return Json::Object{{"model", result.model},
                      {"version", result.version},
                      {"id", result.id},
                      {"outputs", std::move(outputs)}};
}

Json described(const ModelMetadata& model) {
  Json::Array tensors;
  for (const TensorMetadata& each : model.inputs) {
    tensors.push_back(Json::Array{each.name, each.datatype, Json(each.shape)});
  }
  return Json::Object{{"name", model.name},
                      {"platform", model.platform},
                      {"versions", Json(model.versions)},
                      {"properties", model.properties},
                      {"inputs", std::move(tensors)}};
}

/// Many threads with one client: each asks with rows of its own.
Json many(const Client& client, const Json& command) {
  std::vector<std::future<Json>> answers;
  for (const Json& each : command.at("each").items()) {
    answers.push_back(std::async(std::launch::async, [&client, tensor = driver::read(each)] {
      return driver::write(client.infer("linear", {{"x", tensor}}).output("y"));
    }));
  }
  Json::Array all;
  for (auto& answer : answers) all.push_back(answer.get());
  return all;
}

/// The same over one bRPC connection, all at once.
Json many(BrpcClient& client, const Json& command) {
  std::vector<std::future<InferResult>> answers;
  for (const Json& each : command.at("each").items()) {
    BrpcRequest request;
    request.inputs = {{"x", driver::read(each)}};
    answers.push_back(client.infer_async(request));
  }
  Json::Array all;
  for (auto& answer : answers) all.push_back(driver::write(answer.get().outputs.at(0).tensor));
  return all;
}

/// Every half float as a float, and floats as half floats; big endian, as the lines have them.
Json halves(std::string_view floats) {
  std::string all;
  std::string rounded;
  for (std::uint32_t bits = 0; bits < 1u << 16; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    std::uint32_t raw = 0;
    std::memcpy(&raw, &value, sizeof raw);
    for (int shift = 24; shift >= 0; shift -= 8) all += static_cast<char>(raw >> shift & 255);
  }
  for (std::size_t i = 0; i + 4 <= floats.size(); i += 4) {
    std::uint32_t raw = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      raw = raw << 8 | static_cast<unsigned char>(floats[i + j]);
    }
    float value = 0;
    std::memcpy(&value, &raw, sizeof value);
    const std::uint16_t bits = half_from_float(value);
    rounded += static_cast<char>(bits >> 8);
    rounded += static_cast<char>(bits & 255);
  }
  return Json::Array{driver::base64(all), driver::base64(rounded)};
}

class Driver {
 public:
  /// Does what a command says. Throws what the client throws.
  Json perform(const Json& command) {
    const std::string what = command.at("do").as_string();
    if (what == "json") {
      return Json::parse(driver::from_base64(command.at("text").as_string())).dump();
    }
    if (what == "halves") return halves(driver::from_base64(command.at("floats").as_string()));
    const Json& settings = command.at("client");
    if (what == "close") {
      http_.erase(settings.dump());
      brpc_.erase(settings.dump());
      return begun_.valid() ? told(begun_.get()) : Json();
    }
    if (settings.find("brpc") != nullptr) return perform(what, brpc(settings), command);
    return perform(what, http(settings), command);
  }

 private:
  static Json perform(const std::string& what, const Client& client, const Json& command) {
    if (what == "infer") return told(client.infer(inference(command)));
    if (what == "predict") return client.predict(prediction(command)).json;
    if (what == "draw") return driver::base64(client.draw(prediction(command)));
    if (what == "server") {
      const ServerMetadata server = client.server();
      return Json::Array{server.name, server.version, Json(server.extensions)};
    }
    if (what == "model") return described(client.model(command.at("model").as_string()));
    if (what == "live") return client.live();
    if (what == "ready") return client.ready();
    if (what == "model_ready") return client.model_ready(command.at("model").as_string());
    if (what == "many") return many(client, command);
    throw std::invalid_argument("unknown: " + what);
  }

  Json perform(const std::string& what, BrpcClient& client, const Json& command) {
    if (what == "many") return many(client, command);
    BrpcRequest request;
    request.inputs = inputs(command);
    request.outputs = words(command.find("outputs"));
    if (what == "infer") return told(client.infer(request));
    if (what == "begin") {
      begun_ = client.infer_async(request);
      return true;
    }
    throw std::invalid_argument("unknown: " + what);
  }

  Client& http(const Json& settings) {
    auto& client = http_[settings.dump()];
    if (!client) client = over_http(settings);
    return *client;
  }

  BrpcClient& brpc(const Json& settings) {
    auto& client = brpc_[settings.dump()];
    if (!client) client = over_brpc(settings);
    return *client;
  }

  std::map<std::string, std::unique_ptr<Client>> http_;
  std::map<std::string, std::unique_ptr<BrpcClient>> brpc_;
  std::future<InferResult> begun_;
};

Json failure(const char* kind, const std::exception& error) {
  Json::Object told{{"kind", kind}, {"message", error.what()}};
  if (const auto* known = dynamic_cast<const Error*>(&error)) {
    told.push_back({"request_id", known->request_id()});
  }
  if (const auto* refused = dynamic_cast<const ServerError*>(&error)) {
    told.push_back({"status", refused->status()});
    told.push_back({"brpc_code", refused->brpc_code()});
    told.push_back({"code", refused->code().empty() ? Json() : Json(refused->code())});
    told.push_back({"hint", refused->hint().empty() ? Json() : Json(refused->hint())});
  }
  return Json::Object{{"failed", std::move(told)}};
}

Json answer(Driver& driver, const Json& command) {
  try {
    return Json::Object{{"ok", driver.perform(command)}};
  } catch (const ServerError& error) {
    return failure("ServerError", error);
  } catch (const ConnectionError& error) {
    return failure("ConnectionError", error);
  } catch (const DeadlineError& error) {
    return failure("DeadlineError", error);
  } catch (const MalformedAnswer& error) {
    return failure("MalformedAnswer", error);
  } catch (const JsonError& error) {
    return failure("JsonError", error);
  } catch (const std::invalid_argument& error) {
    return failure("invalid_argument", error);
  } catch (const std::exception& error) {
    return failure("exception", error);
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  Driver driver;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(driver, Json::parse(line)).dump() << std::endl;
  }
}
