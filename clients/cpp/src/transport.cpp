#include "transport.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <stdexcept>

#include <curl/curl.h>

#include "compression.hpp"
#include "damage.hpp"

namespace paddlesrv::detail {

namespace {

constexpr std::size_t worth_compressing = 1024;
constexpr std::size_t max_header_bytes = 256 << 10;

/// libcurl's own state, made once and, since others may use it too, never unmade.
void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) throw std::runtime_error("libcurl does not start");
}

std::string checked_url(std::string url) {
  std::string scheme = url.substr(0, url.find("://"));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool known = scheme == "http" || scheme == "https";
  const std::size_t host = scheme.size() + 3;
  if (!known || url.size() <= host || url[host] == '/' || url[host] == ':') {
    throw std::invalid_argument("not a server's address: " + url +
                                "; it looks like http://127.0.0.1:9393");
  }
  const auto strange = [](unsigned char c) { return c <= ' ' || c >= 0x7f; };
  if (url.find_first_of("?#@\\") != std::string::npos ||
      std::any_of(url.begin(), url.end(), strange)) {
    throw std::invalid_argument("a server's address has no query, no fragment, no user, no spaces");
  }
  url.erase(url.find_last_not_of('/') + 1);
  return url;
}

void check_header(const std::string& name, const std::string& value) {
  constexpr std::string_view other = "!#$%&'*+-.^_`|~";
  const bool token = !name.empty() && std::all_of(name.begin(), name.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || other.find(static_cast<char>(c)) != std::string_view::npos;
  });
  const bool line = std::none_of(value.begin(), value.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
  });
  if (!token || !line) throw std::invalid_argument("not a header: " + name);
}

bool temporary(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_URL_MALFORMAT: return false;
    default: return true;
  }
}

/// @throws MalformedAnswer it is not compressed as it says.
void unpack(Answer& answer, std::size_t limit) {
  const std::string coding = answer.header("content-encoding");
  if (coding.empty() || coding == "identity" || answer.body.empty()) return;
  if (coding != "gzip") {
    throw MalformedAnswer("the answer's content coding is unknown: " + coding, answer.request_id);
  }
  try {
    answer.body = decompress(Coding::gzip, answer.body, limit);
  } catch (const Damage& damage) {
    throw MalformedAnswer(std::string("the answer is ") + damage.what(), answer.request_id);
  }
}

}  // namespace

std::string Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

/// libcurl's handle, with the connection that it keeps.
class Transport::Handle {
 public:
  Handle() : curl_(curl_easy_init()) {
    if (curl_ == nullptr) throw std::bad_alloc();
  }
  ~Handle() { curl_easy_cleanup(curl_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  CURL* get() const noexcept { return curl_; }

  template <class Value>
  void set(CURLoption option, Value value) const {
    const CURLcode code = curl_easy_setopt(curl_, option, value);
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLE_OK) {
      throw std::runtime_error(std::string("libcurl does not take an option: ") +
                               curl_easy_strerror(code));
    }
  }

 private:
  CURL* curl_;
};

/// One request and what comes of it.
class Transport::Exchange {
 public:
  Exchange(const Handle& handle, const Transport& transport)
      : handle_(handle), limit_(transport.options_.max_answer_bytes) {
    curl_easy_reset(handle.get());
    const ClientOptions& options = transport.options_;
    handle.set(CURLOPT_NOSIGNAL, 1L);  // signals are the program's, which may have threads
    handle.set(CURLOPT_ERRORBUFFER, error_);
    handle.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    handle.set(CURLOPT_PATH_AS_IS, 1L);
    handle.set(CURLOPT_TCP_NODELAY, 1L);
    handle.set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    handle.set(CURLOPT_WRITEDATA, this);
    handle.set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    handle.set(CURLOPT_HEADERDATA, this);
    if (options.proxy) handle.set(CURLOPT_PROXY, options.proxy->c_str());
    const TlsOptions& tls = options.tls;
    handle.set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
    handle.set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
    if (!tls.ca_file.empty()) handle.set(CURLOPT_CAINFO, tls.ca_file.c_str());
    if (!tls.certificate_file.empty()) handle.set(CURLOPT_SSLCERT, tls.certificate_file.c_str());
    if (!tls.key_file.empty()) handle.set(CURLOPT_SSLKEY, tls.key_file.c_str());
  }
  ~Exchange() {
    curl_easy_reset(handle_.get());  // which would point into what is gone
    curl_slist_free_all(headers_);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void add_header(const std::string& name, const std::string& value) {
    // A header with nothing in it is written with a semicolon, or curl would leave it out.
    const std::string line = value.empty() ? name + ";" : name + ": " + value;
    curl_slist* longer = curl_slist_append(headers_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers_ = longer;
  }

  void leave_out_header(const std::string& name) {
    curl_slist* longer = curl_slist_append(headers_, (name + ":").c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers_ = longer;
  }

  CURLcode run() {
    handle_.set(CURLOPT_HTTPHEADER, headers_);
    const CURLcode code = curl_easy_perform(handle_.get());
    if (out_of_memory_) throw std::bad_alloc();
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &answer_.status);
    curl_off_t seconds = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RETRY_AFTER, &seconds);
    answer_.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(seconds, 0, 1'000'000'000));
    return code;
  }

  Answer& answer() noexcept { return answer_; }
  bool too_large() const noexcept { return too_large_; }

  std::string reason(CURLcode code) const {
    return error_[0] != '\0' ? std::string(error_) : std::string(curl_easy_strerror(code));
  }

 private:
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
    return static_cast<Exchange*>(self)->guarded(size, [&](Exchange& here) {
      here.too_large_ = size > here.limit_ - here.answer_.body.size();
      if (!here.too_large_) here.answer_.body.append(data, size);
    });
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept {
    return static_cast<Exchange*>(self)->guarded(
        size, [&](Exchange& here) { here.header(std::string_view(data, size)); });
  }

  /// No exception may go through libcurl, which is written in C.
  template <class Work>
  std::size_t guarded(std::size_t size, const Work& work) noexcept {
    try {
      work(*this);
    } catch (...) {
      out_of_memory_ = true;
    }
    return too_large_ || out_of_memory_ ? size + 1 : size;
  }

  void header(std::string_view line) {
    if (line.substr(0, 5) == "HTTP/") {  // of "100 Continue", and then of the answer
      answer_.headers.clear();
      header_bytes_ = 0;
    }
    header_bytes_ += line.size();
    if (header_bytes_ > max_header_bytes) {
      too_large_ = true;
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    line.remove_prefix(colon + 1);
    const std::size_t first = line.find_first_not_of(" \t\r\n");
    const std::size_t last = line.find_last_not_of(" \t\r\n");
    answer_.headers.emplace(std::move(name), first == std::string_view::npos
                                                 ? std::string()
                                                 : std::string(line.substr(first, last - first + 1)));
  }

  const Handle& handle_;
  std::size_t limit_;
  curl_slist* headers_ = nullptr;
  Answer answer_;
  char error_[CURL_ERROR_SIZE] = {};
  std::size_t header_bytes_ = 0;
  bool too_large_ = false;
  bool out_of_memory_ = false;
};

Transport::Transport(std::string url, ClientOptions options)
    : url_(checked_url(std::move(url))), options_(std::move(options)) {
  check(options_.retries);
  options_.timeout = checked("timeout", options_.timeout);
  options_.connect_timeout = checked("connect_timeout", options_.connect_timeout);
  if (options_.max_answer_bytes == 0) throw std::invalid_argument("max_answer_bytes must be positive");
  if (!options_.bearer_token.empty()) {
    options_.headers.emplace_back("Authorization", "Bearer " + options_.bearer_token);
  }
  for (const auto& [name, value] : options_.headers) check_header(name, value);
  start_curl();
}

Transport::~Transport() = default;

std::unique_ptr<Transport::Handle> Transport::take() const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Handle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return std::make_unique<Handle>();
}

void Transport::give_back(std::unique_ptr<Handle> handle) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(handle));
}

Answer Transport::send(const Outgoing& message, const Deadline& deadline,
                       const std::string& request_id, const std::string& before) const {
  const Milliseconds left = deadline.left();
  if (left.count() == 0) throw deadline.error(request_id, before);
  std::string packed;
  std::string_view body = message.body;
  const bool pack = options_.compress_requests && body.size() >= worth_compressing;
  if (pack) {
    packed = compress(Coding::gzip, body);
    body = packed;
  }
  const std::string address = url_ + message.path;
  std::unique_ptr<Handle> handle = take();
  Answer answer = [&] {
    Exchange exchange(*handle, *this);
    handle->set(CURLOPT_URL, address.c_str());
    // libcurl rounds the time that has passed up, to a millisecond: with that much more it never
    // ends before the deadline, which would be told as a connection's trouble.
    const Milliseconds longest = left + Milliseconds(1);
    handle->set(CURLOPT_TIMEOUT_MS, static_cast<long>(longest.count()));
    const Milliseconds connecting = std::min(longest, options_.connect_timeout);
    handle->set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connecting.count()));
    for (const auto& [name, value] : options_.headers) exchange.add_header(name, value);
    exchange.add_header("X-Request-Id", request_id);
    exchange.add_header("User-Agent", "paddlesrv-client-cpp/" PADDLESRV_CLIENT_VERSION);
    if (options_.compress_answers) exchange.add_header("Accept-Encoding", "gzip");
    if (!message.content_type.empty()) {
      exchange.add_header("Content-Type", message.content_type);
      if (pack) exchange.add_header("Content-Encoding", "gzip");
      if (message.header_length) {
        exchange.add_header(header_length_name, std::to_string(*message.header_length));
      }
      exchange.leave_out_header("Expect");  // which would cost large requests a round trip
      handle->set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
      handle->set(CURLOPT_POSTFIELDS, body.data());
    }
    const CURLcode code = exchange.run();
    if (exchange.too_large()) {
      const std::string most = std::to_string(options_.max_answer_bytes);
      throw MalformedAnswer("the answer is larger than " + most + " bytes", request_id);
    }
    if (code == CURLE_OPERATION_TIMEDOUT && deadline.over()) throw deadline.error(request_id, before);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
      throw MalformedAnswer("the answer is not HTTP: " + exchange.reason(code), request_id);
    }
    if (code != CURLE_OK) {
      throw ConnectionError("no answer from " + address + ": " + exchange.reason(code), request_id,
                            temporary(code));
    }
    return std::move(exchange.answer());
  }();
  give_back(std::move(handle));
  answer.request_id = answer.header("x-request-id");
  if (answer.request_id.empty()) answer.request_id = request_id;
  unpack(answer, options_.max_answer_bytes);
  return answer;
}

}  // namespace paddlesrv::detail
