package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Tensors as the test's lines carry them, made and read by the typed methods that users call. */
final class Wire {
    private Wire() {}

    static Tensor read(Json json) {
        long[] shape = json.get("shape").items().stream().mapToLong(Json::asLong).toArray();
        DataType type = DataType.named(json.get("datatype").asString()).orElseThrow();
        Tensor tensor = type == DataType.BYTES ? strings(shape, json) : numbers(type, shape, json);
        return json.find("lod")
                .map(o -> tensor.withLod(o.items().stream().mapToLong(Json::asLong).toArray()))
                .orElse(tensor);
    }

    static Json write(Tensor tensor) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("datatype", tensor.type().name());
        json.put("shape", tensor.shape());
        tensor.lod().ifPresent(offsets -> json.put("lod", offsets));
        if (tensor.type() == DataType.BYTES) {
            List<byte[]> elements = tensor.toByteStrings();
            json.put("strings", elements.stream().map(Wire::base64).toArray(String[]::new));
        } else {
            json.put("data", base64(bytes(tensor)));
        }
        return Json.of(strings(json));
    }

    /** Arrays of texts are lists for JSON. */
    private static Map<String, Object> strings(Map<String, Object> json) {
        json.computeIfPresent("strings", (name, value) -> Arrays.asList((Object[]) value));
        return json;
    }

    private static Tensor strings(long[] shape, Json json) {
        byte[][] elements =
                json.get("strings").items().stream()
                        .map(item -> Base64.getDecoder().decode(item.asString()))
                        .toArray(byte[][]::new);
        return Tensor.ofByteStrings(shape, elements);
    }

    private static Tensor numbers(DataType type, long[] shape, Json json) {
        byte[] raw = Base64.getDecoder().decode(json.get("data").asString());
        ByteBuffer data = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
        int count = raw.length / type.size();
        int[] ints = new int[count];
        long[] longs = new long[count];
        float[] floats = new float[count];
        double[] doubles = new double[count];
        short[] shorts = new short[count];
        switch (type) {
            case BOOL:
                boolean[] booleans = new boolean[count];
                for (int i = 0; i < count; i++) {
                    booleans[i] = raw[i] != 0;
                }
                return Tensor.ofBooleans(shape, booleans);
            case INT8:
                return Tensor.ofInt8s(shape, raw);
            case UINT8:
                return Tensor.ofUint8s(shape, raw);
            case INT16:
                data.asShortBuffer().get(shorts);
                return Tensor.ofShorts(shape, shorts);
            case UINT16:
                Arrays.setAll(ints, i -> Short.toUnsignedInt(data.getShort(2 * i)));
                return Tensor.ofUint16s(shape, ints);
            case INT32:
                data.asIntBuffer().get(ints);
                return Tensor.ofInts(shape, ints);
            case UINT32:
                Arrays.setAll(longs, i -> Integer.toUnsignedLong(data.getInt(4 * i)));
                return Tensor.ofUint32s(shape, longs);
            case INT64:
                data.asLongBuffer().get(longs);
                return Tensor.ofLongs(shape, longs);
            case UINT64:
                data.asLongBuffer().get(longs);
                return Tensor.ofUint64s(shape, longs);
            case FP16:
                for (int i = 0; i < count; i++) {
                    floats[i] = HalfFloat.toFloat(data.getShort(2 * i));
                }
                return Tensor.ofHalfFloats(shape, floats);
            case FP32:
                data.asFloatBuffer().get(floats);
                return Tensor.ofFloats(shape, floats);
            default:
                data.asDoubleBuffer().get(doubles);
                return Tensor.ofDoubles(shape, doubles);
        }
    }

    private static byte[] bytes(Tensor tensor) {
        int count = tensor.count();
        ByteBuffer data =
                ByteBuffer.allocate(count * tensor.type().size()).order(ByteOrder.LITTLE_ENDIAN);
        switch (tensor.type()) {
            case BOOL:
                for (boolean value : tensor.toBooleans()) {
                    data.put((byte) (value ? 1 : 0));
                }
                break;
            case INT8:
            case UINT8:
                data.put(tensor.toBytes());
                break;
            case INT16:
                data.asShortBuffer().put(tensor.toShorts());
                break;
            case UINT16:
                for (int value : tensor.toInts()) {
                    data.putShort((short) value);
                }
                break;
            case INT32:
                data.asIntBuffer().put(tensor.toInts());
                break;
            case UINT32:
                for (long value : tensor.toLongs()) {
                    data.putInt((int) value);
                }
                break;
            case INT64:
                data.asLongBuffer().put(tensor.toLongs());
                break;
            case UINT64:
                data.asLongBuffer().put(tensor.toUint64s());
                break;
            case FP16:
                for (float value : tensor.toFloats()) {
                    data.putShort(HalfFloat.fromFloat(value));
                }
                break;
            case FP32:
                data.asFloatBuffer().put(tensor.toFloats());
                break;
            default:
                data.asDoubleBuffer().put(tensor.toDoubles());
        }
        return data.array();
    }

    static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }
}
