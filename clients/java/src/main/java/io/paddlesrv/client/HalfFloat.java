package io.paddlesrv.client;

/** Numbers of 16 bits (IEEE 754 binary16), which Java knows only from release 20 on. */
final class HalfFloat {
    private static final int MANTISSA_SHIFT = 23 - 10;
    private static final int REBIAS = (127 - 15) << 23;

    private HalfFloat() {}

    /** The nearest number of 16 bits, ties to even; beyond 65519 it is infinite. */
    static short fromFloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = bits >>> 16 & 0x8000;
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return (short) (sign | 0x7e00 | magnitude >> MANTISSA_SHIFT & 0x3ff);
        }
        if (magnitude >= 0x477ff000) { // 65520 and more
            return (short) (sign | 0x7c00);
        }
        if (magnitude < 0x38800000) {
            // Below 2^-14 the result counts in units of 2^-24, which is how a float counts
            // between 1/2 and 1: the addition rounds.
            float shifted = Float.intBitsToFloat(magnitude) + 0.5f;
            return (short) (sign | Float.floatToRawIntBits(shifted) - 0x3f000000);
        }
        int odd = magnitude >> MANTISSA_SHIFT & 1;
        int rounded = magnitude + 0xfff + odd - REBIAS;
        return (short) (sign | rounded >> MANTISSA_SHIFT);
    }

    /** The same number in 32 bits, exactly. */
    static float toFloat(short half) {
        int sign = (half & 0x8000) << 16;
        int exponent = half >> 10 & 0x1f;
        int mantissa = half & 0x3ff;
        if (exponent == 0) {
            return Float.intBitsToFloat(sign | Float.floatToRawIntBits(mantissa * 0x1p-24f));
        }
        if (exponent == 31) {
            return Float.intBitsToFloat(sign | 0x7f800000 | mantissa << MANTISSA_SHIFT);
        }
        return Float.intBitsToFloat(
                sign | (exponent << 23) + REBIAS | mantissa << MANTISSA_SHIFT);
    }
}
