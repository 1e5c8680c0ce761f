package io.paddlesrv.client;

import java.util.Arrays;
import java.util.Optional;

/** The types that a tensor's elements can have, by their names in the Open Inference Protocol. */
public enum DataType {
    /** True or false; one byte each. */
    BOOL(1),
    /** Unsigned, 8 bits. */
    UINT8(1),
    /** Unsigned, 16 bits. */
    UINT16(2),
    /** Unsigned, 32 bits. */
    UINT32(4),
    /** Unsigned, 64 bits. */
    UINT64(8),
    /** Signed, 8 bits: Java's {@code byte}. */
    INT8(1),
    /** Signed, 16 bits: Java's {@code short}. */
    INT16(2),
    /** Signed, 32 bits: Java's {@code int}. */
    INT32(4),
    /** Signed, 64 bits: Java's {@code long}. */
    INT64(8),
    /** Floating point, 16 bits (IEEE 754 binary16). */
    FP16(2),
    /** Floating point, 16 bits: the first half of a {@code float}. */
    BF16(2),
    /** Floating point, 32 bits: Java's {@code float}. */
    FP32(4),
    /** Floating point, 64 bits: Java's {@code double}. */
    FP64(8),
    /** Texts or other strings of bytes, each of its own length. */
    BYTES(0);

    private final int bytes;

    DataType(int bytes) {
        this.bytes = bytes;
    }

    /**
     * How large an element is.
     *
     * @return bytes for each element; 0 for {@link #BYTES}, whose elements differ
     */
    public int size() {
        return bytes;
    }

    /**
     * The type of that name.
     *
     * @param name as a server writes it, such as {@code "FP32"}
     * @return the type, or empty if it is none of these
     */
    public static Optional<DataType> named(String name) {
        return Arrays.stream(values()).filter(type -> type.name().equals(name)).findFirst();
    }
}
