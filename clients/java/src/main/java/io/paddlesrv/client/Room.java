package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Bytes for a tensor's elements, before they are put in. */
final class Room {
    private Room() {}

    /** As many bytes as the values need, if the shape has as many elements. */
    static ByteBuffer of(DataType type, long[] shape, int values) {
        Shapes.check(shape, values);
        return ByteBuffer.allocate(size((long) values * type.size()))
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    /** A number of bytes that an array can have. */
    static int size(long bytes) {
        if (bytes > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(bytes + " bytes are too many for one array");
        }
        return (int) bytes;
    }

    static long inRange(DataType type, long value, long most) {
        if (value < 0 || value > most) {
            throw new IllegalArgumentException(value + " is out of range for " + type);
        }
        return value;
    }
}
