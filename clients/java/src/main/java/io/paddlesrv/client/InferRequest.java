package io.paddlesrv.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** Tensors for a model; immutable. */
public final class InferRequest {
    private final String model;
    private final String version;
    private final String id;
    private final Map<String, Tensor> inputs;
    private final List<String> outputs;
    private final TensorForm form;
    private final Duration timeout;

    private InferRequest(Builder builder) {
        model = builder.model;
        version = builder.version;
        id = builder.id;
        inputs = Collections.unmodifiableMap(new LinkedHashMap<>(builder.inputs));
        outputs = List.copyOf(builder.outputs);
        form = builder.form;
        timeout = builder.timeout;
    }

    /**
     * Starts a request.
     *
     * @param model the model's name or alias
     * @return what the rest is said to
     */
    public static Builder builder(String model) {
        return new Builder(model);
    }

    /**
     * The model's name.
     *
     * @return the name
     */
    public String model() {
        return model;
    }

    /**
     * The model's version.
     *
     * @return the version, or empty for the server's choice
     */
    public Optional<String> version() {
        return Optional.ofNullable(version);
    }

    /**
     * The request's own id, which its answer bears too.
     *
     * @return the id, if one was given
     */
    public Optional<String> id() {
        return Optional.ofNullable(id);
    }

    /**
     * The inputs by name, in their order.
     *
     * @return a map that cannot be changed
     */
    public Map<String, Tensor> inputs() {
        return inputs;
    }

    /**
     * The outputs asked for.
     *
     * @return their names; empty for all
     */
    public List<String> outputs() {
        return outputs;
    }

    /**
     * How the tensors travel.
     *
     * @return the form asked for, or empty for the client's own
     */
    public Optional<TensorForm> form() {
        return Optional.ofNullable(form);
    }

    /**
     * How long the call may take, with all its repetitions.
     *
     * @return the time, or empty for the client's own
     */
    public Optional<Duration> timeout() {
        return Optional.ofNullable(timeout);
    }

    /** Collects what a request is to say; for one thread. */
    public static final class Builder {
        private final String model;
        private final Map<String, Tensor> inputs = new LinkedHashMap<>();
        private final List<String> outputs = new ArrayList<>();
        private String version;
        private String id;
        private TensorForm form;
        private Duration timeout;

        private Builder(String model) {
            this.model = Objects.requireNonNull(model, "model");
        }

        /**
         * Adds an input.
         *
         * @param name its name
         * @param tensor its elements; its offsets, if it has any, go beside it as {@code NAME.lod}
         * @return this
         */
        public Builder input(String name, Tensor tensor) {
            inputs.put(Objects.requireNonNull(name), Objects.requireNonNull(tensor, name));
            return this;
        }

        /**
         * Adds inputs.
         *
         * @param tensors by name
         * @return this
         */
        public Builder inputs(Map<String, Tensor> tensors) {
            tensors.forEach(this::input);
            return this;
        }

        /**
         * Asks for these outputs alone.
         *
         * @param names their names; none for all
         * @return this
         */
        public Builder outputs(String... names) {
            outputs.addAll(List.of(names));
            return this;
        }

        /**
         * Asks for a version of the model.
         *
         * @param value the version
         * @return this
         */
        public Builder version(String value) {
            version = value;
            return this;
        }

        /**
         * Gives the request an id, which its answer bears too.
         *
         * @param value any text
         * @return this
         */
        public Builder id(String value) {
            id = value;
            return this;
        }

        /**
         * Lets the tensors travel otherwise than the client's others.
         *
         * @param value the form
         * @return this
         */
        public Builder form(TensorForm value) {
            form = value;
            return this;
        }

        /**
         * Gives the call another time than the client's others.
         *
         * @param value how long it may take, with all its repetitions
         * @return this
         */
        public Builder timeout(Duration value) {
            timeout = Durations.positive("timeout", value);
            return this;
        }

        /**
         * The request.
         *
         * @return what was said so far
         * @throws IllegalArgumentException if there is no input
         */
        public InferRequest build() {
            if (inputs.isEmpty()) {
                throw new IllegalArgumentException("a request for " + model + " needs an input");
            }
            return new InferRequest(this);
        }
    }
}
