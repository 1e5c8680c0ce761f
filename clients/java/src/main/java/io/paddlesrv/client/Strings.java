package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;

/** Elements of BYTES as they travel: each behind its length, 4 bytes, little-endian. */
final class Strings {
    private static final int LENGTH = 4;

    private Strings() {}

    static ByteBuffer encode(long[] shape, byte[][] values) {
        Shapes.check(shape, values.length);
        long total = 0;
        for (byte[] value : values) {
            total += LENGTH + value.length;
        }
        ByteBuffer data = ByteBuffer.allocate(Room.size(total)).order(ByteOrder.LITTLE_ENDIAN);
        for (byte[] value : values) {
            data.putInt(value.length).put(value);
        }
        return data.flip();
    }

    /** Refuses bytes that are not so many elements. */
    static void check(ByteBuffer bytes, int count) {
        ByteBuffer rest = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        int found = 0;
        boolean whole = true;
        while (whole && rest.hasRemaining() && found < count) {
            int length = rest.remaining() < LENGTH ? -1 : rest.getInt();
            whole = length >= 0 && length <= rest.remaining();
            if (whole) {
                rest.position(rest.position() + length);
                found++;
            }
        }
        if (!whole || found != count || rest.hasRemaining()) {
            throw new IllegalArgumentException(
                    bytes.capacity() + " bytes are not " + count + " elements of BYTES");
        }
    }

    static List<byte[]> decode(Tensor tensor) {
        if (tensor.type() != DataType.BYTES) {
            throw Elements.mistaken(tensor, DataType.BYTES);
        }
        List<byte[]> elements = new ArrayList<>(tensor.count());
        ByteBuffer rest = tensor.data();
        for (int i = 0; i < tensor.count(); i++) {
            byte[] element = new byte[rest.getInt()];
            rest.get(element);
            elements.add(element);
        }
        return elements;
    }

    static List<String> texts(Tensor tensor) {
        List<String> texts = new ArrayList<>(tensor.count());
        for (byte[] element : decode(tensor)) {
            try {
                texts.add(Texts.strict(ByteBuffer.wrap(element)));
            } catch (CharacterCodingException error) {
                throw new IllegalStateException(
                        "element " + texts.size() + " is not UTF-8: use toByteStrings()", error);
            }
        }
        return texts;
    }
}
