package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.stream.Collectors;

/** A tensor's elements as Java's arrays, where that loses nothing. */
final class Elements {
    private Elements() {}

    static boolean[] booleans(Tensor tensor) {
        need(tensor, DataType.BOOL);
        boolean[] values = new boolean[tensor.count()];
        ByteBuffer data = tensor.data();
        for (int i = 0; i < values.length; i++) {
            values[i] = data.get(i) != 0;
        }
        return values;
    }

    static byte[] bytes(Tensor tensor) {
        need(tensor, DataType.INT8, DataType.UINT8);
        byte[] values = new byte[tensor.count()];
        tensor.data().get(values);
        return values;
    }

    static short[] shorts(Tensor tensor) {
        need(tensor, DataType.INT16, DataType.INT8, DataType.UINT8);
        short[] values = new short[tensor.count()];
        ByteBuffer data = tensor.data();
        for (int i = 0; i < values.length; i++) {
            values[i] = (short) whole(tensor.type(), data, i);
        }
        return values;
    }

    static int[] ints(Tensor tensor) {
        need(
                tensor,
                DataType.INT32,
                DataType.INT16,
                DataType.INT8,
                DataType.UINT16,
                DataType.UINT8);
        int[] values = new int[tensor.count()];
        if (tensor.type() == DataType.INT32) {
            tensor.data().asIntBuffer().get(values);
        } else {
            ByteBuffer data = tensor.data();
            Arrays.setAll(values, i -> (int) whole(tensor.type(), data, i));
        }
        return values;
    }

    static long[] longs(Tensor tensor) {
        need(
                tensor,
                DataType.INT64,
                DataType.INT32,
                DataType.INT16,
                DataType.INT8,
                DataType.UINT32,
                DataType.UINT16,
                DataType.UINT8);
        long[] values = new long[tensor.count()];
        if (tensor.type() == DataType.INT64) {
            tensor.data().asLongBuffer().get(values);
        } else {
            ByteBuffer data = tensor.data();
            Arrays.setAll(values, i -> whole(tensor.type(), data, i));
        }
        return values;
    }

    static long[] uint64s(Tensor tensor) {
        need(tensor, DataType.UINT64);
        long[] values = new long[tensor.count()];
        tensor.data().asLongBuffer().get(values);
        return values;
    }

    static float[] floats(Tensor tensor) {
        need(tensor, DataType.FP32, DataType.FP16, DataType.BF16);
        float[] values = new float[tensor.count()];
        ByteBuffer data = tensor.data();
        if (tensor.type() == DataType.FP32) {
            data.asFloatBuffer().get(values);
        } else {
            boolean half = tensor.type() == DataType.FP16;
            for (int i = 0; i < values.length; i++) {
                short bits = data.getShort(2 * i);
                values[i] = half ? HalfFloat.toFloat(bits) : Float.intBitsToFloat(bits << 16);
            }
        }
        return values;
    }

    static double[] doubles(Tensor tensor) {
        need(tensor, DataType.FP64, DataType.FP32, DataType.FP16, DataType.BF16);
        double[] values = new double[tensor.count()];
        if (tensor.type() == DataType.FP64) {
            tensor.data().asDoubleBuffer().get(values);
        } else {
            float[] narrow = floats(tensor);
            Arrays.setAll(values, i -> narrow[i]);
        }
        return values;
    }

    /** The error of who takes a tensor for what it is not. */
    static IllegalStateException mistaken(Tensor tensor, DataType... wanted) {
        String names = Arrays.stream(wanted).map(Enum::name).collect(Collectors.joining(" or "));
        return new IllegalStateException(
                "the tensor is " + tensor + ", not " + names + ": use " + reader(tensor.type()));
    }

    private static void need(Tensor tensor, DataType... taken) {
        if (!Arrays.asList(taken).contains(tensor.type())) {
            throw mistaken(tensor, taken);
        }
    }

    private static String reader(DataType type) {
        switch (type) {
            case BOOL:
                return "toBooleans()";
            case INT8:
            case UINT8:
            case INT16:
            case UINT16:
            case INT32:
                return "toInts()";
            case UINT32:
            case INT64:
                return "toLongs()";
            case UINT64:
                return "toUint64s()";
            case FP16:
            case BF16:
            case FP32:
                return "toFloats()";
            case FP64:
                return "toDoubles()";
            default:
                return "toStrings() or toByteStrings()";
        }
    }

    private static long whole(DataType type, ByteBuffer data, int i) {
        switch (type) {
            case INT8:
                return data.get(i);
            case UINT8:
                return Byte.toUnsignedLong(data.get(i));
            case INT16:
                return data.getShort(2 * i);
            case UINT16:
                return Short.toUnsignedLong(data.getShort(2 * i));
            case INT32:
                return data.getInt(4 * i);
            default:
                return Integer.toUnsignedLong(data.getInt(4 * i));
        }
    }
}
