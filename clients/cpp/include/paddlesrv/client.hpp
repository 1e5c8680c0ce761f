/// @file
/// A client over HTTP: the Open Inference Protocol, and models' tasks.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <paddlesrv/error.hpp>
#include <paddlesrv/infer.hpp>
#include <paddlesrv/json.hpp>
#include <paddlesrv/tensor.hpp>

namespace paddlesrv {

/// What is trusted and shown where the server's address begins with https.
struct TlsOptions {
  std::string ca_file;           ///< Certificates (PEM) to trust instead of the system's.
  std::string certificate_file;  ///< The client's own certificate (PEM).
  std::string key_file;          ///< Its key (PEM).
  bool verify = true;            ///< false: any server is believed; for tests alone.
};

/// How a client is to be.
struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};  ///< For a connection to come about.
  std::chrono::milliseconds timeout{60'000};         ///< For a call with all its repetitions.
  RetryPolicy retries;                               ///< When a call is made again.
  std::string bearer_token;  ///< Sent as "Authorization: Bearer TOKEN", unless empty.
  /// Sent with every request, such as {"apikey", KEY} for a gateway.
  std::vector<std::pair<std::string, std::string>> headers;
  TlsOptions tls;                       ///< For addresses of https.
  std::optional<std::string> proxy;     ///< Unless given, the environment's; "": none.
  bool compress_requests = false;       ///< gzip from a kilobyte on, for slow networks.
  bool compress_answers = false;        ///< Ask for gzip, for slow networks.
  std::size_t max_answer_bytes = std::size_t{1} << 30;  ///< The most that an answer may hold.
};

/// Tensors for a model.
struct InferRequest {
  std::string model;                 ///< Its name or alias.
  std::vector<NamedTensor> inputs;   ///< All of its inputs.
  std::vector<std::string> outputs{};  ///< Those that are wanted; all, if empty.
  std::string version{};               ///< Unless empty, no other version answers.
  std::string id{};                    ///< Comes back with the result.
  std::optional<std::chrono::milliseconds> timeout{};  ///< Instead of the client's own.
};

/// A picture, as its file holds it: PNG, JPEG and others.
struct Picture {
  std::string bytes;  ///< The file's content.

  /// The picture in a file.
  /// @throws std::runtime_error it cannot be read.
  static Picture read(const std::filesystem::path& file);
};

/// A text in UTF-8.
struct Text {
  std::string value;  ///< The text.
};

/// A row of features: a list of numbers in the model's order, or an object by their names.
struct Features {
  Json values;  ///< The row.
};

/// Something to look at.
using Item = std::variant<Picture, Text, Features>;

/// Things for a model's task to look at, all of one kind.
struct PredictRequest {
  std::string model;                  ///< Its name or alias.
  std::vector<Item> items;            ///< At least one.
  std::optional<int> top{};           ///< So many classes at most.
  std::optional<double> threshold{};  ///< Leave out what is found with a lower score.
  bool tokens = false;                ///< Tell each token's own vector too, where there are any.
  std::optional<std::chrono::milliseconds> timeout{};  ///< Instead of the client's own.
};

/// What a model's task made of pictures, texts or features.
///
/// What a result holds is the task's: `classes` with label, index and score for classification;
/// `boxes` for detection; `text` for reading, and so on.
struct Prediction {
  std::string model;          ///< The model that answered.
  std::string task;           ///< Its task, such as "image-classification".
  std::vector<Json> results;  ///< One for each item, in their order.
  Json json;                  ///< The whole answer, with times in `timing_ms`.
};

/// What a server says of itself.
struct ServerMetadata {
  std::string name;                     ///< "paddlesrv", or another's.
  std::string version;                  ///< Of the server.
  std::vector<std::string> extensions;  ///< Of the protocol, such as "binary_tensor_data".
};

/// What a server says of an input or an output.
struct TensorMetadata {
  std::string name;                 ///< Its name.
  std::string datatype;             ///< The protocol's name of its type, such as "FP32".
  std::vector<std::int64_t> shape;  ///< Its sides; -1 where any will do.
};

/// What a server says of a model.
struct ModelMetadata {
  std::string name;                    ///< The model's.
  std::vector<std::string> versions;   ///< Those that are served.
  std::string platform;                ///< Such as "paddle_inference".
  std::vector<TensorMetadata> inputs;  ///< In their order.
  std::vector<TensorMetadata> outputs; ///< In their order.
  Json properties;                     ///< An object of texts; null if there is none.
};

/// Asks a server over HTTP. Connections are kept and used again.
///
/// One client serves all threads: its methods may be called from several at once, each of which
/// waits for its own answer on a connection of its own. It must not be moved or destroyed
/// meanwhile. All methods that ask throw
/// ServerError, ConnectionError, DeadlineError or MalformedAnswer, and std::invalid_argument for
/// what cannot be asked at all.
class Client {
 public:
  /// @param url The server's address, such as "http://127.0.0.1:9393"; nothing is sent yet.
  /// @param options How it is to be.
  /// @throws std::invalid_argument the address or an option is none.
  explicit Client(std::string url, ClientOptions options = {});
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Tensors in, tensors out.
  InferResult infer(const InferRequest& request) const;
  /// Tensors in, all outputs out.
  InferResult infer(std::string model, std::vector<NamedTensor> inputs) const;

  /// What a model's task makes of things.
  Prediction predict(const PredictRequest& request) const;
  /// What it makes of one thing; its result.
  Json predict(std::string model, Item item) const;

  /// The one picture with what was found drawn into it; a PNG file's content.
  std::string draw(const PredictRequest& request) const;
  /// The picture with what was found drawn into it; a PNG file's content.
  std::string draw(std::string model, Picture picture) const;

  ServerMetadata server() const;                         ///< What the server says of itself.
  ModelMetadata model(std::string_view name) const;      ///< What it says of a model.

  /// Whether a server is there and alive; asked once. Throws nothing for a server that is not.
  bool live() const;
  /// Whether it serves all of its models; asked once.
  bool ready() const;
  /// Whether it serves a model now; asked once.
  /// @throws ServerError with status 404: it has no such model.
  bool model_ready(std::string_view name) const;

 private:
  class Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace paddlesrv
