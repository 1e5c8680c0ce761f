/// @file
/// Half-precision floats (IEEE 754 binary16), which C++17 has no type for.
#pragma once

#include <cstdint>

namespace paddlesrv {

/// The bits of the half float nearest to a float; ties go to the even one.
std::uint16_t half_from_float(float value) noexcept;

/// The value of a half float; every one has a float of its own.
float half_to_float(std::uint16_t bits) noexcept;

/// One element of an FP16 tensor: 16 bits that know what they are.
class Half {
 public:
  Half() = default;

  /// The half float nearest to a float.
  explicit Half(float value) noexcept : bits_(half_from_float(value)) {}

  /// The half float with these bits.
  static Half from_bits(std::uint16_t bits) noexcept {
    Half made;
    made.bits_ = bits;
    return made;
  }

  std::uint16_t bits() const noexcept { return bits_; }                   ///< Its bits.
  explicit operator float() const noexcept { return half_to_float(bits_); }  ///< Its value.

 private:
  std::uint16_t bits_ = 0;
};

}  // namespace paddlesrv
