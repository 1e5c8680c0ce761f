#include <paddlesrv/half.hpp>

#include <cstring>

namespace paddlesrv {

std::uint16_t half_from_float(float value) noexcept {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000U) {
    half = 0x7e00U | (magnitude >> 13 & 0x1ffU);  // not a number, and quiet
  } else if (magnitude >= 0x477ff000U) {
    half = 0x7c00U;  // 65520 and more are nearest to infinity
  } else if (magnitude >= 0x38800000U) {
    half = (magnitude + 0xfffU + (magnitude >> 13 & 1U) - 0x38000000U) >> 13;
  } else if (magnitude > 0x33000000U) {  // 2^-25, from which on the least one is nearest
    const std::uint32_t shift = 126 - (magnitude >> 23);
    const std::uint32_t digits = (magnitude & 0x7fffffU) | 0x800000U;
    const std::uint32_t rest = digits & ((1U << shift) - 1);
    const std::uint32_t tie = 1U << (shift - 1);
    half = digits >> shift;
    if (rest > tie || (rest == tie && (half & 1U) != 0)) ++half;
  }
  return static_cast<std::uint16_t>(sign | half);
}

float half_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fU;
  std::uint32_t digits = bits & 0x3ffU;
  std::uint32_t wide = 0;
  if (exponent == 0x1f) {
    wide = 0x7f800000U | digits << 13;
  } else if (exponent != 0) {
    wide = (exponent + 112) << 23 | digits << 13;
  } else if (digits != 0) {
    std::uint32_t raised = 113;
    for (; (digits & 0x400U) == 0; digits <<= 1) --raised;
    wide = raised << 23 | (digits & 0x3ffU) << 13;
  }
  wide |= sign;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

}  // namespace paddlesrv
