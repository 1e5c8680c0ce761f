package io.paddlesrv.client;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What a model says of itself; immutable. */
public final class ModelMetadata {
    private final String name;
    private final String platform;
    private final List<String> versions;
    private final List<TensorMetadata> inputs;
    private final List<TensorMetadata> outputs;
    private final Map<String, String> properties = new LinkedHashMap<>();

    ModelMetadata(Json json) {
        name = json.get("name").asString();
        platform = json.get("platform").asString();
        versions = Metadata.strings(json, "versions");
        inputs = tensors(json, "inputs");
        outputs = tensors(json, "outputs");
        json.find("properties")
                .ifPresent(
                        all ->
                                all.fields()
                                        .forEach(
                                                (key, value) ->
                                                        properties.put(key, Metadata.text(value))));
    }

    private static List<TensorMetadata> tensors(Json json, String name) {
        return Metadata.list(json, name)
                .map(TensorMetadata::new)
                .collect(Collectors.toUnmodifiableList());
    }

    /**
     * The model's name.
     *
     * @return its own name, not an alias
     */
    public String name() {
        return name;
    }

    /**
     * What kind of model it is.
     *
     * @return such as {@code "paddle_inference"} or {@code "onnx_onnxv1"}
     */
    public String platform() {
        return platform;
    }

    /**
     * The versions that are served.
     *
     * @return a list that cannot be changed
     */
    public List<String> versions() {
        return versions;
    }

    /**
     * What the model takes.
     *
     * @return a list that cannot be changed
     */
    public List<TensorMetadata> inputs() {
        return inputs;
    }

    /**
     * What the model gives.
     *
     * @return a list that cannot be changed
     */
    public List<TensorMetadata> outputs() {
        return outputs;
    }

    /**
     * What else there is to know, such as its task.
     *
     * @return a map that cannot be changed
     */
    public Map<String, String> properties() {
        return java.util.Collections.unmodifiableMap(properties);
    }

    /** Name, inputs and outputs. */
    @Override
    public String toString() {
        return name + " " + inputs + " -> " + outputs;
    }
}
