package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * An array of any number of dimensions, and, for a model that reads sequences, the offsets that
 * divide its rows (Paddle's level of detail); immutable.
 *
 * <pre>{@code
 * Tensor rows = Tensor.ofFloats(new long[] {2, 3}, 1, 2, 3, 4, 5, 6);
 * Tensor words = Tensor.ofLongs(new long[] {5, 1}, 7, 8, 9, 4, 2).withLod(0, 3, 5);
 * float[] prices = answer.output("price").toFloats();
 * }</pre>
 *
 * <p>Elements lie in row-major order: the last dimension runs fastest. Factories copy what they
 * are given, and refuse with an {@link IllegalArgumentException} a shape that has not as many
 * elements, or a value out of range. Accessors give copies, and refuse with an {@link
 * IllegalStateException} a tensor of another type, unless nothing is lost.
 */
public final class Tensor {
    private final DataType type;
    private final long[] shape;
    private final int count;
    /** As it lies on the wire: little-endian; BYTES elements each behind their length. */
    private final ByteBuffer data;
    /** Offsets, or null. */
    private final long[] lod;

    private Tensor(DataType type, long[] shape, int count, ByteBuffer data, long[] lod) {
        this.type = type;
        this.shape = shape;
        this.count = count;
        this.data = data;
        this.lod = lod;
    }

    /**
     * A tensor from its bytes as they travel: little-endian, without gaps; elements of
     * {@link DataType#BYTES} each behind their length in 4 bytes.
     *
     * @param type the type of its elements
     * @param shape its dimensions
     * @param data the bytes, which are copied
     * @return the tensor
     * @throws IllegalArgumentException if these are not the bytes of such a tensor
     */
    public static Tensor of(DataType type, long[] shape, byte[] data) {
        return ofWire(type, shape, ByteBuffer.wrap(data.clone()));
    }

    /** The same without a copy: nobody else may write into the buffer. */
    static Tensor ofWire(DataType type, long[] shape, ByteBuffer data) {
        long[] ownShape = shape.clone();
        int count = Shapes.elements(ownShape);
        ByteBuffer bytes = data.slice().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
        if (type == DataType.BYTES) {
            Strings.check(bytes, count);
        } else if (bytes.capacity() != (long) count * type.size()) {
            throw new IllegalArgumentException(
                    bytes.capacity()
                            + " bytes are not "
                            + type
                            + " "
                            + Arrays.toString(ownShape)
                            + ", which has "
                            + (long) count * type.size());
        }
        return new Tensor(type, ownShape, count, bytes, null);
    }

    /**
     * Truth values ({@link DataType#BOOL}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofBooleans(long[] shape, boolean... values) {
        ByteBuffer data = Room.of(DataType.BOOL, shape, values.length);
        for (boolean value : values) {
            data.put((byte) (value ? 1 : 0));
        }
        return ofWire(DataType.BOOL, shape, data.flip());
    }

    /**
     * Signed integers of 8 bits ({@link DataType#INT8}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofInt8s(long[] shape, byte... values) {
        ByteBuffer data = Room.of(DataType.INT8, shape, values.length);
        return ofWire(DataType.INT8, shape, data.put(values).flip());
    }

    /**
     * Unsigned integers of 8 bits ({@link DataType#UINT8}), such as a picture's pixels.
     *
     * @param shape the dimensions
     * @param values the elements as raw bytes: {@code (byte) 200} is 200
     * @return the tensor
     */
    public static Tensor ofUint8s(long[] shape, byte... values) {
        ByteBuffer data = Room.of(DataType.UINT8, shape, values.length);
        return ofWire(DataType.UINT8, shape, data.put(values).flip());
    }

    /**
     * Signed integers of 16 bits ({@link DataType#INT16}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofShorts(long[] shape, short... values) {
        ByteBuffer data = Room.of(DataType.INT16, shape, values.length);
        data.asShortBuffer().put(values);
        return ofWire(DataType.INT16, shape, data);
    }

    /**
     * Unsigned integers of 16 bits ({@link DataType#UINT16}).
     *
     * @param shape the dimensions
     * @param values the elements, from 0 to 65535
     * @return the tensor
     */
    public static Tensor ofUint16s(long[] shape, int... values) {
        ByteBuffer data = Room.of(DataType.UINT16, shape, values.length);
        for (int value : values) {
            data.putShort((short) Room.inRange(DataType.UINT16, value, 0xffffL));
        }
        return ofWire(DataType.UINT16, shape, data.flip());
    }

    /**
     * Signed integers of 32 bits ({@link DataType#INT32}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofInts(long[] shape, int... values) {
        ByteBuffer data = Room.of(DataType.INT32, shape, values.length);
        data.asIntBuffer().put(values);
        return ofWire(DataType.INT32, shape, data);
    }

    /**
     * Unsigned integers of 32 bits ({@link DataType#UINT32}).
     *
     * @param shape the dimensions
     * @param values the elements, from 0 to 4294967295
     * @return the tensor
     */
    public static Tensor ofUint32s(long[] shape, long... values) {
        ByteBuffer data = Room.of(DataType.UINT32, shape, values.length);
        for (long value : values) {
            data.putInt((int) Room.inRange(DataType.UINT32, value, 0xffffffffL));
        }
        return ofWire(DataType.UINT32, shape, data.flip());
    }

    /**
     * Signed integers of 64 bits ({@link DataType#INT64}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofLongs(long[] shape, long... values) {
        ByteBuffer data = Room.of(DataType.INT64, shape, values.length);
        data.asLongBuffer().put(values);
        return ofWire(DataType.INT64, shape, data);
    }

    /**
     * Unsigned integers of 64 bits ({@link DataType#UINT64}).
     *
     * @param shape the dimensions
     * @param values the elements as raw bits, as {@link Long#parseUnsignedLong(String)} gives them
     * @return the tensor
     */
    public static Tensor ofUint64s(long[] shape, long... values) {
        ByteBuffer data = Room.of(DataType.UINT64, shape, values.length);
        data.asLongBuffer().put(values);
        return ofWire(DataType.UINT64, shape, data);
    }

    /**
     * Numbers of 16 bits ({@link DataType#FP16}), each the nearest to what is given, ties to even.
     *
     * @param shape the dimensions
     * @param values the elements; beyond 65519 they become infinite
     * @return the tensor
     */
    public static Tensor ofHalfFloats(long[] shape, float... values) {
        ByteBuffer data = Room.of(DataType.FP16, shape, values.length);
        for (float value : values) {
            data.putShort(HalfFloat.fromFloat(value));
        }
        return ofWire(DataType.FP16, shape, data.flip());
    }

    /**
     * Numbers of 32 bits ({@link DataType#FP32}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofFloats(long[] shape, float... values) {
        ByteBuffer data = Room.of(DataType.FP32, shape, values.length);
        data.asFloatBuffer().put(values);
        return ofWire(DataType.FP32, shape, data);
    }

    /**
     * Numbers of 64 bits ({@link DataType#FP64}).
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofDoubles(long[] shape, double... values) {
        ByteBuffer data = Room.of(DataType.FP64, shape, values.length);
        data.asDoubleBuffer().put(values);
        return ofWire(DataType.FP64, shape, data);
    }

    /**
     * Texts ({@link DataType#BYTES}), in UTF-8.
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofStrings(long[] shape, String... values) {
        byte[][] bytes = new byte[values.length][];
        Arrays.setAll(bytes, i -> values[i].getBytes(StandardCharsets.UTF_8));
        return ofByteStrings(shape, bytes);
    }

    /**
     * Strings of any bytes ({@link DataType#BYTES}), such as encoded pictures.
     *
     * @param shape the dimensions
     * @param values the elements
     * @return the tensor
     */
    public static Tensor ofByteStrings(long[] shape, byte[]... values) {
        return ofWire(DataType.BYTES, shape, Strings.encode(shape, values));
    }

    /**
     * The same tensor, its rows divided into sequences: those from {@code offsets[i]} up to
     * {@code offsets[i + 1]} are sequence {@code i}.
     *
     * @param offsets rising from 0 to the number of rows
     * @return a tensor with these offsets, which travel beside it as {@code NAME.lod}
     * @throws IllegalArgumentException if they do not rise so
     */
    public Tensor withLod(long... offsets) {
        boolean rising = offsets.length > 1 && offsets[0] == 0 && shape.length > 0;
        for (int i = 1; rising && i < offsets.length; i++) {
            rising = offsets[i] > offsets[i - 1];
        }
        if (!rising || offsets[offsets.length - 1] != shape[0]) {
            throw new IllegalArgumentException(
                    "the offsets "
                            + Arrays.toString(offsets)
                            + " do not rise from 0 to the number of rows of "
                            + Arrays.toString(shape));
        }
        return withAnyLod(offsets.clone());
    }

    /** What a server says of a tensor that it made is passed on as it is. */
    Tensor withAnyLod(long[] offsets) {
        return new Tensor(type, shape, count, data, offsets);
    }

    /**
     * The type of the elements.
     *
     * @return the type
     */
    public DataType type() {
        return type;
    }

    /**
     * The dimensions.
     *
     * @return a copy
     */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * How many elements there are.
     *
     * @return the product of the dimensions
     */
    public int count() {
        return count;
    }

    /**
     * The offsets that divide the rows into sequences.
     *
     * @return a copy of them, or empty if there are none
     */
    public Optional<long[]> lod() {
        return Optional.ofNullable(lod).map(long[]::clone);
    }

    /**
     * The elements as they travel: little-endian, without gaps.
     *
     * @return a read-only view of all of them, in little-endian order
     */
    public ByteBuffer data() {
        return data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * The elements of a {@link DataType#BOOL} tensor.
     *
     * @return a copy
     */
    public boolean[] toBooleans() {
        return Elements.booleans(this);
    }

    /**
     * The elements of an {@link DataType#INT8} or {@link DataType#UINT8} tensor.
     *
     * @return a copy as raw bytes
     */
    public byte[] toBytes() {
        return Elements.bytes(this);
    }

    /**
     * The elements of an {@link DataType#INT16}, {@link DataType#INT8} or {@link DataType#UINT8}
     * tensor.
     *
     * @return a copy
     */
    public short[] toShorts() {
        return Elements.shorts(this);
    }

    /**
     * The elements of an {@link DataType#INT32} tensor, or of integers with fewer bits.
     *
     * @return a copy
     */
    public int[] toInts() {
        return Elements.ints(this);
    }

    /**
     * The elements of an {@link DataType#INT64} tensor, or of integers with fewer bits.
     *
     * @return a copy
     */
    public long[] toLongs() {
        return Elements.longs(this);
    }

    /**
     * The elements of a {@link DataType#UINT64} tensor.
     *
     * @return a copy as raw bits, which {@link Long#toUnsignedString(long)} shows
     */
    public long[] toUint64s() {
        return Elements.uint64s(this);
    }

    /**
     * The elements of an {@link DataType#FP32} tensor, or of numbers of 16 bits.
     *
     * @return a copy
     */
    public float[] toFloats() {
        return Elements.floats(this);
    }

    /**
     * The elements of an {@link DataType#FP64} tensor, or of numbers with fewer bits.
     *
     * @return a copy
     */
    public double[] toDoubles() {
        return Elements.doubles(this);
    }

    /**
     * The elements of a {@link DataType#BYTES} tensor, each as UTF-8.
     *
     * @return the texts
     * @throws IllegalStateException if it is of another type, or an element is not UTF-8
     */
    public List<String> toStrings() {
        return Strings.texts(this);
    }

    /**
     * The elements of a {@link DataType#BYTES} tensor.
     *
     * @return copies of them
     */
    public List<byte[]> toByteStrings() {
        return Strings.decode(this);
    }

    /** Type and shape, such as {@code FP32 [2, 13]}. */
    @Override
    public String toString() {
        String offsets = lod == null ? "" : " lod " + Arrays.toString(lod);
        return type + " " + Arrays.toString(shape) + offsets;
    }

    /** Whether the other has the same type, shape, offsets and, bit for bit, elements. */
    @Override
    public boolean equals(Object other) {
        if (!(other instanceof Tensor)) {
            return false;
        }
        Tensor that = (Tensor) other;
        return type == that.type
                && Arrays.equals(shape, that.shape)
                && Arrays.equals(lod, that.lod)
                && data.equals(that.data);
    }

    @Override
    public int hashCode() {
        return Objects.hash(type, Arrays.hashCode(shape), Arrays.hashCode(lod), data);
    }
}
