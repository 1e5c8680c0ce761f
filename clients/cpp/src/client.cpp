#include <paddlesrv/client.hpp>

#include <utility>

#include "damage.hpp"
#include "open_inference.hpp"
#include "predict.hpp"
#include "retry.hpp"
#include "text.hpp"
#include "transport.hpp"

namespace paddlesrv {

using namespace detail;

namespace {

std::string text_of(const Json& json, std::string_view name) {
  const Json* found = json.find(name);
  return found != nullptr && found->kind() == Json::Kind::string ? found->as_string() : std::string();
}

/// From an answer that is no success; what its body does not say is left out.
ServerError refusal(const Answer& answer) {
  ServerError::Details details;
  details.status = static_cast<int>(answer.status);
  details.retry_after = answer.retry_after;
  try {
    const Json json = Json::parse(answer.body);
    const Json& error = json.at("error");
    const std::string id = text_of(json, "request_id");
    details.code = text_of(json, "code");
    details.hint = text_of(json, "hint");
    return {error.kind() == Json::Kind::string ? error.as_string() : error.dump(),
            id.empty() ? answer.request_id : id, details};
  } catch (const JsonError&) {  // a proxy's page, or nothing
    std::string text = "the server answered " + std::to_string(answer.status);
    if (const std::string type = answer.header("content-type"); !type.empty()) {
      text += " with " + excerpt(type);
    }
    if (!answer.body.empty()) text += ": " + excerpt(answer.body);
    details.code.clear();
    details.hint.clear();
    return {text, answer.request_id, details};
  }
}

Outgoing get(std::string path) { return {std::move(path), {}, {}, std::nullopt}; }

}  // namespace

class Client::Impl {
 public:
  Impl(std::string url, ClientOptions options) : transport_(std::move(url), std::move(options)) {}

  /// Asks, again if need be, and reads what comes.
  template <class Read>
  auto call(const Outgoing& message, std::optional<Milliseconds> timeout, const Read& read) const {
    const Deadline deadline(timeout.value_or(transport_.options().timeout));
    const std::string id = random_id();
    Answer answer = with_retries(transport_.options().retries, deadline, id,
                                 [&](const std::string& before) {
                                   Answer found = transport_.send(message, deadline, id, before);
                                   if (!found.succeeded()) throw refusal(found);
                                   return found;
                                 });
    const std::string request_id = answer.request_id;
    const std::string what = answer.header("content-type") + ", " +
                             std::to_string(answer.body.size()) + " bytes";
    const auto malformed = [&](const std::exception& error) {
      return MalformedAnswer("the server's answer (" + excerpt(what) +
                                 ") is not what the protocol says: " + error.what(),
                             request_id);
    };
    try {
      return read(std::move(answer));
    } catch (const std::runtime_error& error) {
      throw malformed(error);
    } catch (const std::logic_error& error) {
      throw malformed(error);
    }
  }

  /// One attempt at a question of health: 200, or 400 or 503 from a server that is there.
  bool healthy(const std::string& path) const {
    const Deadline deadline(transport_.options().timeout);
    const Answer answer = transport_.send(get(path), deadline, random_id(), "");
    if (answer.status == 400 || answer.status == 503) return false;
    if (!answer.succeeded()) throw refusal(answer);
    return true;
  }

 private:
  Transport transport_;
};

Client::Client(std::string url, ClientOptions options)
    : impl_(std::make_unique<const Impl>(std::move(url), std::move(options))) {}
Client::~Client() = default;
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;

InferResult Client::infer(const InferRequest& request) const {
  return impl_->call(encode(request), request.timeout,
                     [&](const Answer& answer) { return decode_infer(answer, request); });
}

InferResult Client::infer(std::string model, std::vector<NamedTensor> inputs) const {
  return infer(InferRequest{std::move(model), std::move(inputs)});
}

Prediction Client::predict(const PredictRequest& request) const {
  return impl_->call(encode(request, false), request.timeout, [&](const Answer& answer) {
    return decode_prediction(answer, request.items.size());
  });
}

Json Client::predict(std::string model, Item item) const {
  return predict(PredictRequest{std::move(model), {std::move(item)}}).results.front();
}

std::string Client::draw(const PredictRequest& request) const {
  if (request.items.size() != 1) throw std::invalid_argument("one picture is drawn at a time");
  return impl_->call(encode(request, true), request.timeout,
                     [](Answer&& answer) { return decode_picture(std::move(answer)); });
}

std::string Client::draw(std::string model, Picture picture) const {
  return draw(PredictRequest{std::move(model), {std::move(picture)}});
}

ServerMetadata Client::server() const { return impl_->call(get("/v2"), {}, decode_server); }

ModelMetadata Client::model(std::string_view name) const {
  return impl_->call(get(model_path(name, "")), {}, decode_model);
}

bool Client::live() const {
  try {
    return impl_->healthy("/v2/health/live");
  } catch (const Error&) {
    return false;
  }
}

bool Client::ready() const { return impl_->healthy("/v2/health/ready"); }

bool Client::model_ready(std::string_view name) const {
  return impl_->healthy(model_path(name, "") + "/ready");
}

}  // namespace paddlesrv
