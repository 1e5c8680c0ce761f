#include "socket.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

namespace paddlesrv::detail {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int quietly = MSG_NOSIGNAL;
#else
constexpr int quietly = 0;  // the socket itself is set so
#endif

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void prepare(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0) {
    fail("a descriptor cannot be set up");
  }
}

bool not_now() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  Descriptor old(std::exchange(number_, std::exchange(other.number_, -1)));
  return *this;
}

Bell::Bell() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) fail("no pipe");
  listen_ = Descriptor(ends[0]);
  ring_ = Descriptor(ends[1]);
  prepare(ends[0]);
  prepare(ends[1]);
}

void Bell::ring() const noexcept {
  const char sound = 1;
  // A full pipe has rung already.
  [[maybe_unused]] const auto written = write(ring_.get(), &sound, 1);
}

void Bell::clear() const noexcept {
  std::array<char, 256> sounds{};
  while (read(listen_.get(), sounds.data(), sounds.size()) > 0) continue;
}

std::vector<Address> look_up(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* first = nullptr;
  const std::string service = std::to_string(port);
  if (const int error = getaddrinfo(host.c_str(), service.c_str(), &wanted, &first); error != 0) {
    throw std::runtime_error(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(first, freeaddrinfo);
  std::vector<Address> found;
  for (const addrinfo* each = first; each != nullptr; each = each->ai_next) {
    if (each->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Address address{};
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.size = each->ai_addrlen;
    found.push_back(address);
  }
  if (found.empty()) throw std::runtime_error("the host has no address");
  return found;
}

Descriptor begin_connect(const Address& address) {
  Descriptor made(socket(address.storage.ss_family, SOCK_STREAM, 0));
  if (!made) fail("no socket");
  prepare(made.get());
  const int on = 1;
  setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // faster, if it works
#ifdef SO_NOSIGPIPE
  setsockopt(made.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  const auto* where = reinterpret_cast<const sockaddr*>(&address.storage);
  if (connect(made.get(), where, address.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
    fail("connect");
  }
  return made;
}

std::optional<std::string> connect_error(const Descriptor& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error == 0) return std::nullopt;
  return std::generic_category().message(error);
}

std::size_t send_some(const Descriptor& socket, std::string_view bytes) {
  const auto sent = send(socket.get(), bytes.data(), bytes.size(), quietly);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (!not_now()) fail("the connection broke");
  return 0;
}

bool receive_some(const Descriptor& socket, std::string& out) {
  constexpr std::size_t room = 256 << 10;
  const std::size_t before = out.size();
  out.resize(before + room);
  const auto got = recv(socket.get(), out.data() + before, room, 0);
  out.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got < 0 && !not_now()) fail("the connection broke");
  return got != 0;
}

}  // namespace paddlesrv::detail
