package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The Open Inference Protocol over HTTP (KServe's {@code inference_rest.md}) with Triton's binary
 * tensor extension ({@code extension_binary_data.md}); offsets travel as one more INT64 tensor.
 */
final class InferenceCodec {
    static final String HEADER_LENGTH = "Inference-Header-Content-Length";
    private static final String LOD = ".lod";

    private InferenceCodec() {}

    /** A request's body and, if bytes follow its JSON, how long the JSON is. */
    static final class Body {
        final byte[] bytes;
        final int headerLength;

        private Body(byte[] bytes, int headerLength) {
            this.bytes = bytes;
            this.headerLength = headerLength;
        }

        boolean binary() {
            return headerLength < bytes.length;
        }
    }

    static Body encode(InferRequest request, TensorForm form) {
        boolean binary = request.form().orElse(form) == TensorForm.BINARY;
        StringBuilder json = new StringBuilder("{");
        if (request.id().isPresent()) {
            json.append("\"id\":");
            JsonWriter.quote(json, request.id().get());
            json.append(',');
        }
        json.append("\"inputs\":[");
        List<Tensor> blobs = new ArrayList<>();
        String between = "";
        for (Map.Entry<String, Tensor> input : withOffsets(request.inputs()).entrySet()) {
            json.append(between);
            between = ",";
            append(json, input.getKey(), input.getValue(), binary, blobs);
        }
        json.append(']');
        if (!request.outputs().isEmpty()) {
            json.append(",\"outputs\":[");
            between = "";
            for (String name : request.outputs()) {
                json.append(between).append("{\"name\":");
                between = ",";
                JsonWriter.quote(json, name);
                json.append(binary ? ",\"parameters\":{\"binary_data\":true}}" : "}");
            }
            json.append(']');
        }
        json.append(binary ? ",\"parameters\":{\"binary_data_output\":true}}" : "}");
        return join(json.toString().getBytes(StandardCharsets.UTF_8), blobs);
    }

    /**
     * Reads an answer.
     *
     * @throws RuntimeException of some kind if it is not one; nothing of it is used then
     */
    static InferResult decode(Answer answer, InferRequest request) {
        byte[] body = answer.body();
        int length = headerLength(answer.header(HEADER_LENGTH), body.length);
        Json json = JsonReader.parse(body, 0, length);
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        int position = length;
        for (Json output : json.get("outputs").items()) {
            String name = output.get("name").asString();
            long size = binarySize(output);
            Tensor tensor;
            try {
                if (size > body.length - position) {
                    throw new IllegalArgumentException(
                            size + " bytes announced, " + (body.length - position) + " left");
                }
                tensor = tensor(output, size < 0 ? null : slice(body, position, (int) size));
            } catch (RuntimeException error) {
                throw new IllegalArgumentException(
                        "output \"" + name + "\": " + error.getMessage(), error);
            }
            position += (int) Math.max(size, 0);
            if (outputs.put(name, tensor) != null) {
                throw new IllegalArgumentException("output \"" + name + "\" comes twice");
            }
        }
        if (position != body.length) {
            throw new IllegalArgumentException(
                    body.length - position + " bytes are left behind the last output");
        }
        for (String wanted : request.outputs()) {
            if (!outputs.containsKey(wanted)) {
                throw new IllegalArgumentException(
                        "output \"" + wanted + "\" is missing; there are " + outputs.keySet());
            }
        }
        return new InferResult(
                text(json, "model_name").orElse(request.model()),
                text(json, "model_version").orElse(null),
                text(json, "id").orElse(null),
                joinOffsets(outputs));
    }

    private static Map<String, Tensor> withOffsets(Map<String, Tensor> inputs) {
        Map<String, Tensor> all = new LinkedHashMap<>();
        inputs.forEach(
                (name, tensor) -> {
                    all.put(name, tensor);
                    tensor.lod()
                            .map(o -> Tensor.ofLongs(new long[] {o.length}, o))
                            .ifPresent(offsets -> all.put(name + LOD, offsets));
                });
        long offsets = inputs.values().stream().filter(t -> t.lod().isPresent()).count();
        if (all.size() != inputs.size() + offsets) {
            throw new IllegalArgumentException(
                    "offsets are given twice: in a tensor and as an input " + inputs.keySet());
        }
        return all;
    }

    private static void append(
            StringBuilder json, String name, Tensor tensor, boolean binary, List<Tensor> blobs) {
        json.append("{\"name\":");
        JsonWriter.quote(json, name);
        json.append(",\"datatype\":\"").append(tensor.type()).append("\",\"shape\":");
        json.append(java.util.Arrays.toString(tensor.shape()).replace(" ", ""));
        if (binary || !TensorJson.carries(tensor)) {
            json.append(",\"parameters\":{\"binary_data_size\":");
            json.append(tensor.data().capacity()).append("}}");
            blobs.add(tensor);
        } else {
            json.append(",\"data\":");
            TensorJson.write(json, tensor);
            json.append('}');
        }
    }

    private static Body join(byte[] header, List<Tensor> blobs) {
        long total = header.length;
        for (Tensor blob : blobs) {
            total += blob.data().capacity();
        }
        ByteBuffer body = ByteBuffer.allocate(Room.size(total)).put(header);
        blobs.forEach(blob -> body.put(blob.data()));
        return new Body(body.array(), header.length);
    }

    private static int headerLength(Optional<String> header, int whole) {
        if (header.isEmpty()) {
            return whole;
        }
        String text = header.get().strip();
        if (!text.matches("[0-9]{1,10}") || Long.parseLong(text) > whole) {
            throw new IllegalArgumentException(
                    HEADER_LENGTH + " is " + text + ", the body has " + whole + " bytes");
        }
        return Integer.parseInt(text);
    }

    /** How many bytes an output takes behind the JSON; -1 if its values are in the JSON. */
    private static long binarySize(Json output) {
        Optional<Json> size = output.find("parameters").flatMap(p -> p.find("binary_data_size"));
        if (size.isEmpty()) {
            return -1;
        }
        long bytes = size.get().asLong();
        if (bytes < 0 || output.find("data").isPresent()) {
            throw new IllegalArgumentException("binary_data_size is " + bytes + ", or data too");
        }
        return bytes;
    }

    private static Tensor tensor(Json output, ByteBuffer bytes) {
        String name = output.get("datatype").asString();
        DataType type =
                DataType.named(name)
                        .orElseThrow(
                                () -> new IllegalArgumentException("unknown datatype " + name));
        long[] shape = output.get("shape").items().stream().mapToLong(Json::asLong).toArray();
        return bytes == null
                ? TensorJson.read(type, shape, output.get("data"))
                : Tensor.ofWire(type, shape, bytes);
    }

    private static ByteBuffer slice(byte[] body, int position, int size) {
        return ByteBuffer.wrap(body, position, size).slice();
    }

    /** Offsets are given to the tensor that they divide, and stay there under their own name. */
    private static Map<String, Tensor> joinOffsets(Map<String, Tensor> outputs) {
        Map<String, Tensor> joined = new LinkedHashMap<>(outputs);
        outputs.forEach(
                (name, tensor) -> {
                    Tensor offsets = outputs.get(name + LOD);
                    if (offsets != null
                            && offsets.type() == DataType.INT64
                            && offsets.shape().length == 1) {
                        joined.put(name, tensor.withAnyLod(offsets.toLongs()));
                    }
                });
        return joined;
    }

    private static Optional<String> text(Json json, String name) {
        return json.find(name).map(Json::asString);
    }
}
