package io.paddlesrv.client;

import java.util.Collections;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;

/** The tensors that a model answered; immutable. */
public final class InferResult {
    private final String model;
    private final String version;
    private final String id;
    private final Map<String, Tensor> outputs;

    InferResult(String model, String version, String id, Map<String, Tensor> outputs) {
        this.model = model;
        this.version = version;
        this.id = id;
        this.outputs = Collections.unmodifiableMap(outputs);
    }

    /**
     * The model that answered.
     *
     * @return its name, which may be another than the alias that was asked
     */
    public String model() {
        return model;
    }

    /**
     * The version that answered.
     *
     * @return the version, if the server has any
     */
    public Optional<String> version() {
        return Optional.ofNullable(version);
    }

    /**
     * The request's id.
     *
     * @return the id that it was given, if any
     */
    public Optional<String> id() {
        return Optional.ofNullable(id);
    }

    /**
     * One output.
     *
     * @param name its name
     * @return its elements, and its offsets if its rows are sequences
     * @throws NoSuchElementException if there is no such output; the message lists those there are
     */
    public Tensor output(String name) {
        Tensor tensor = outputs.get(name);
        if (tensor == null) {
            throw new NoSuchElementException(
                    "no output \"" + name + "\"; there are " + outputs.keySet());
        }
        return tensor;
    }

    /**
     * The only output, whatever its name.
     *
     * @return its elements
     * @throws NoSuchElementException if there are several, or none
     */
    public Tensor output() {
        if (outputs.size() != 1) {
            throw new NoSuchElementException("not one output, but " + outputs.keySet());
        }
        return outputs.values().iterator().next();
    }

    /**
     * All outputs by name, in the server's order.
     *
     * @return a map that cannot be changed
     */
    public Map<String, Tensor> outputs() {
        return outputs;
    }

    /** The model and its outputs' types and shapes. */
    @Override
    public String toString() {
        return model + " " + outputs;
    }
}
