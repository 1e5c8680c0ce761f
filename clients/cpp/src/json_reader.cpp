// JSON (RFC 8259) from outside: nothing is believed, and nothing is deeper than the stack.
#include <algorithm>
#include <charconv>
#include <optional>

#include <paddlesrv/json.hpp>

#include "text.hpp"

namespace paddlesrv {

namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Json whole() {
    const std::size_t valid = detail::valid_utf8(text_);
    if (valid != text_.size()) {
      place_ = valid;
      fail("a byte that is not UTF-8");
    }
    Json found = value(0);
    space();
    if (place_ != text_.size()) fail("something behind the value");
    return found;
  }

 private:
  Json value(std::size_t depth) {
    space();
    if (place_ == text_.size()) fail("the end, where a value was expected");
    switch (text_[place_]) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': return word("true", true);
      case 'f': return word("false", false);
      case 'n': return word("null", nullptr);
      default: return number();
    }
  }

  Json object(std::size_t depth) {
    Json::Object members;
    open(depth);
    for (bool more = !closes('}'); more; more = goes_on('}')) {
      space();
      if (place_ == text_.size() || text_[place_] != '"') fail("no name of a member");
      std::string name = string();
      space();
      if (!takes(':')) fail("no colon behind a name");
      members.push_back({std::move(name), value(depth + 1)});
    }
    check_names(members);
    return members;
  }

  Json array(std::size_t depth) {
    Json::Array items;
    open(depth);
    for (bool more = !closes(']'); more; more = goes_on(']')) items.push_back(value(depth + 1));
    return items;
  }

  void check_names(const Json::Object& members) {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const Json::Member& member : members) names.emplace_back(member.name);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      fail("\"" + detail::excerpt(*twice) + "\" comes twice in one object, which ends");
    }
  }

  std::string string() {
    std::string found;
    ++place_;
    for (;;) {
      const std::size_t stop = text_.find_first_of("\"\\", place_);
      if (stop == std::string_view::npos) {
        place_ = text_.size();
        fail("a text without an end");
      }
      const std::string_view plain = text_.substr(place_, stop - place_);
      const auto control = std::find_if(plain.begin(), plain.end(), [](char letter) {
        return static_cast<unsigned char>(letter) < 0x20;
      });
      if (control != plain.end()) fail("a control character in a text");
      found += plain;
      place_ = stop + 1;
      if (text_[stop] == '"') return found;
      escaped(found);
    }
  }

  void escaped(std::string& out) {
    if (place_ == text_.size()) fail("a text without an end");
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view letters = "\"\\/\b\f\n\r\t";
    const char name = text_[place_++];
    if (const std::size_t known = names.find(name); known != std::string_view::npos) {
      out += letters[known];
      return;
    }
    if (name != 'u') fail("an unknown escape");
    unsigned code = unit();
    if (code >= 0xdc00 && code < 0xe000) fail("the second half of a surrogate pair without the first");
    if (code >= 0xd800 && code < 0xdc00) {
      if (!takes('\\') || !takes('u')) fail("the first half of a surrogate pair without the second");
      const unsigned low = unit();
      if (low < 0xdc00 || low >= 0xe000) fail("two halves that are no surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00);
    }
    append(out, code);
  }

  unsigned unit() {
    unsigned code = 0;
    const std::string_view digits = text_.substr(place_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || end != digits.data() + 4) fail("an escape without four digits");
    place_ += 4;
    return code;
  }

  static void append(std::string& out, unsigned code) {
    const auto put = [&](unsigned byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0U | code >> 6U);
      put(0x80U | (code & 0x3fU));
    } else if (code < 0x10000) {
      put(0xe0U | code >> 12U);
      put(0x80U | (code >> 6U & 0x3fU));
      put(0x80U | (code & 0x3fU));
    } else {
      put(0xf0U | code >> 18U);
      put(0x80U | (code >> 12U & 0x3fU));
      put(0x80U | (code >> 6U & 0x3fU));
      put(0x80U | (code & 0x3fU));
    }
  }

  Json number() {
    const std::size_t start = place_;
    takes('-');
    const std::size_t first = place_;
    if (digits() == 0) fail("nothing that begins a value");
    if (text_[first] == '0' && place_ > first + 1) fail("a number that begins with 0");
    bool whole = true;
    if (takes('.')) {
      whole = false;
      if (digits() == 0) fail("a number without digits behind its point");
    }
    if (takes('e') || takes('E')) {
      whole = false;
      if (!takes('+')) takes('-');
      if (digits() == 0) fail("a number without digits in its exponent");
    }
    const std::string_view text = text_.substr(start, place_ - start);
    if (whole && text != "-0") {
      if (const auto small = converted<std::int64_t>(text)) return *small;
      if (const auto large = converted<std::uint64_t>(text)) return *large;
    }
    if (const auto real = converted<double>(text)) return *real;
    return beyond(text);
  }

  /// A number that from_chars finds too far from any double: nearly 0, or too large.
  Json beyond(std::string_view text) const {
    const bool negative = text.front() == '-';
    const std::size_t e = text.find_first_of("eE");
    const std::string_view digits = text.substr(0, e);
    const std::size_t point = std::min(digits.find('.'), digits.size());
    const std::size_t first = digits.find_first_of("123456789");
    std::int64_t exponent = 0;
    if (e != std::string_view::npos) {
      std::string_view power = text.substr(e + 1);
      if (power.front() == '+') power.remove_prefix(1);
      constexpr std::int64_t far = std::int64_t{1} << 40;
      exponent = converted<std::int64_t>(power).value_or(power.front() == '-' ? -far : far);
      exponent = std::clamp(exponent, -far, far);
    }
    exponent += static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
    if (first == std::string_view::npos || exponent < 0) return negative ? -0.0 : 0.0;
    fail("a number that is too large, which ends");
  }

  template <class T>
  static std::optional<T> converted(std::string_view text) {
    T value{};
    const char* end = text.data() + text.size();
    const auto found = std::from_chars(text.data(), end, value);
    if (found.ec != std::errc() || found.ptr != end) return std::nullopt;
    return value;
  }

  std::size_t digits() {
    const std::size_t start = place_;
    while (place_ < text_.size() && text_[place_] >= '0' && text_[place_] <= '9') ++place_;
    return place_ - start;
  }

  Json word(std::string_view wanted, Json meant) {
    if (text_.substr(place_, wanted.size()) != wanted) fail("nothing that begins a value");
    place_ += wanted.size();
    return meant;
  }

  void open(std::size_t depth) {
    if (depth >= Json::max_depth) fail("more than 100 lists and objects in one another");
    ++place_;
  }

  bool closes(char bracket) {
    space();
    return takes(bracket);
  }

  bool goes_on(char bracket) {
    space();
    if (takes(',')) return true;
    if (!takes(bracket)) fail("neither a comma nor an end");
    return false;
  }

  bool takes(char letter) {
    if (place_ == text_.size() || text_[place_] != letter) return false;
    ++place_;
    return true;
  }

  void space() {
    place_ = std::min(text_.find_first_not_of(" \t\n\r", place_), text_.size());
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw JsonError("not JSON: " + what + " at byte " + std::to_string(place_));
  }

  std::string_view text_;
  std::size_t place_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Reader(text).whole(); }

}  // namespace paddlesrv
