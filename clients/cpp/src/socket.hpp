// Sockets of the operating system (POSIX), which never block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

namespace paddlesrv::detail {

/// A file descriptor with an owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Wakes a thread that waits in poll.
class Bell {
 public:
  Bell();  ///< @throws std::system_error there are no more descriptors.

  void ring() const noexcept;   ///< Its descriptor becomes readable.
  void clear() const noexcept;  ///< Until the next time.
  int descriptor() const noexcept { return listen_.get(); }

 private:
  Descriptor listen_, ring_;
};

/// Where a host is.
struct Address {
  sockaddr_storage storage;
  socklen_t size;
};

/// The addresses of a host. @throws std::runtime_error it has none.
std::vector<Address> look_up(const std::string& host, std::uint16_t port);

/// A socket that begins to connect. @throws std::system_error it cannot.
Descriptor begin_connect(const Address& address);

/// What came of connecting: nothing, or the reason why not.
std::optional<std::string> connect_error(const Descriptor& socket);

/// Sends what there is room for; how many bytes that is. @throws std::system_error it is broken.
std::size_t send_some(const Descriptor& socket, std::string_view bytes);

/// Appends what has come; false once the other side has closed.
/// @throws std::system_error it is broken.
bool receive_some(const Descriptor& socket, std::string& out);

}  // namespace paddlesrv::detail
