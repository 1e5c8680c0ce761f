package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;

/** Elements of tensors as JSON values, flat when written, flat or nested when read. */
final class TensorJson {
    private TensorJson() {}

    /** Whether JSON has a form for every element. */
    static boolean carries(Tensor tensor) {
        switch (tensor.type()) {
            case FP16:
            case BF16:
                return false;
            case FP32:
            case FP64:
                return Arrays.stream(tensor.toDoubles()).allMatch(Double::isFinite);
            case BYTES:
                return tensor.toByteStrings().stream().allMatch(TensorJson::isText);
            default:
                return true;
        }
    }

    /** The elements in a list. */
    static void write(StringBuilder text, Tensor tensor) {
        text.append('[');
        int start = text.length();
        switch (tensor.type()) {
            case BOOL:
                for (boolean value : tensor.toBooleans()) {
                    text.append(value).append(',');
                }
                break;
            case FP32:
            case FP64:
                for (double value : tensor.toDoubles()) {
                    text.append(JsonWriter.digits(value)).append(',');
                }
                break;
            case UINT64:
                for (long value : tensor.toUint64s()) {
                    text.append(Long.toUnsignedString(value)).append(',');
                }
                break;
            case BYTES:
                for (String value : tensor.toStrings()) {
                    JsonWriter.quote(text, value);
                    text.append(',');
                }
                break;
            default:
                for (long value : tensor.toLongs()) {
                    text.append(value).append(',');
                }
        }
        if (text.length() > start) {
            text.setLength(text.length() - 1);
        }
        text.append(']');
    }

    /**
     * A tensor from a list, nested or flat.
     *
     * @throws IllegalArgumentException if these are not such elements, or not so many
     */
    static Tensor read(DataType type, long[] shape, Json data) {
        // Counted before room is made: what a shape says costs the server nothing.
        List<Json> values = leaves(data);
        Shapes.check(shape, values.size());
        if (type == DataType.BYTES) {
            byte[][] texts = new byte[values.size()][];
            Arrays.setAll(
                    texts, i -> values.get(i).asString().getBytes(StandardCharsets.UTF_8));
            return Tensor.ofByteStrings(shape, texts);
        }
        ByteBuffer bytes = Room.of(type, shape, values.size());
        values.forEach(value -> put(bytes, type, value));
        return Tensor.ofWire(type, shape, bytes.flip());
    }

    /** What is in nested lists, one after another. */
    private static List<Json> leaves(Json data) {
        List<Json> found = new ArrayList<>();
        Deque<Iterator<Json>> lists = new ArrayDeque<>();
        lists.push(data.items().iterator());
        while (!lists.isEmpty()) {
            if (!lists.peek().hasNext()) {
                lists.pop();
                continue;
            }
            Json item = lists.peek().next();
            if (item.kind() == Json.Kind.ARRAY) {
                lists.push(item.items().iterator());
            } else {
                found.add(item);
            }
        }
        return found;
    }

    private static void put(ByteBuffer bytes, DataType type, Json value) {
        switch (type) {
            case BOOL:
                bytes.put((byte) (value.asBoolean() ? 1 : 0));
                break;
            case UINT8:
                bytes.put((byte) whole(value, 0, 0xff));
                break;
            case INT8:
                bytes.put((byte) whole(value, Byte.MIN_VALUE, Byte.MAX_VALUE));
                break;
            case UINT16:
                bytes.putShort((short) whole(value, 0, 0xffff));
                break;
            case INT16:
                bytes.putShort((short) whole(value, Short.MIN_VALUE, Short.MAX_VALUE));
                break;
            case UINT32:
                bytes.putInt((int) whole(value, 0, 0xffffffffL));
                break;
            case INT32:
                bytes.putInt((int) whole(value, Integer.MIN_VALUE, Integer.MAX_VALUE));
                break;
            case UINT64:
                bytes.putLong(Long.parseUnsignedLong(value.digits()));
                break;
            case INT64:
                bytes.putLong(value.asLong());
                break;
            case FP16:
                bytes.putShort(HalfFloat.fromFloat(number(value)));
                break;
            case FP32:
                bytes.putFloat(number(value));
                break;
            case BF16:
                throw new IllegalArgumentException("BF16 has no form in JSON");
            default:
                bytes.putDouble(value.isNull() ? Double.NaN : value.asDouble());
        }
    }

    /** Null is what servers write for what JSON has no number for. */
    private static float number(Json value) {
        return value.isNull() ? Float.NaN : Float.parseFloat(value.digits());
    }

    private static long whole(Json value, long least, long most) {
        long number = value.asLong();
        if (number < least || number > most) {
            throw new IllegalArgumentException(number + " is not from " + least + " to " + most);
        }
        return number;
    }

    private static boolean isText(byte[] bytes) {
        try {
            Texts.strict(ByteBuffer.wrap(bytes));
            return true;
        } catch (CharacterCodingException error) {
            return false;
        }
    }
}
