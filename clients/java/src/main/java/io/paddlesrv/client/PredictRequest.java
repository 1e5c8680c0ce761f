package io.paddlesrv.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Pictures, texts or features for a model that has a task; immutable.
 *
 * <pre>{@code
 * PredictRequest.builder("resnet50").picture(Path.of("cat.jpg")).top(3).build();
 * PredictRequest.builder("lac").text("今天天气很好").text("我爱北京").build();
 * PredictRequest.builder("uci_housing").features(0.01, 18.0, 2.3).build();
 * }</pre>
 */
public final class PredictRequest {
    private final String model;
    private final List<byte[]> pictures;
    private final List<String> texts;
    private final List<Json> features;
    private final Map<String, Json> options;
    private final Duration timeout;

    private PredictRequest(Builder builder) {
        model = builder.model;
        pictures = List.copyOf(builder.pictures);
        texts = List.copyOf(builder.texts);
        features = List.copyOf(builder.features);
        options = new LinkedHashMap<>(builder.options);
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
     * How long the call may take, with all its repetitions.
     *
     * @return the time, or empty for the client's own
     */
    public Optional<Duration> timeout() {
        return Optional.ofNullable(timeout);
    }

    List<byte[]> pictures() {
        return pictures;
    }

    List<String> texts() {
        return texts;
    }

    List<Json> features() {
        return features;
    }

    Map<String, Json> options() {
        return options;
    }

    /** Collects what a request is to say; for one thread. */
    public static final class Builder {
        private final String model;
        private final List<byte[]> pictures = new ArrayList<>();
        private final List<String> texts = new ArrayList<>();
        private final List<Json> features = new ArrayList<>();
        private final Map<String, Json> options = new LinkedHashMap<>();
        private Duration timeout;

        private Builder(String model) {
            this.model = Objects.requireNonNull(model, "model");
        }

        /**
         * Adds a picture.
         *
         * @param encoded as its file holds it: PNG, JPEG and others
         * @return this
         */
        public Builder picture(byte[] encoded) {
            pictures.add(encoded.clone());
            return this;
        }

        /**
         * Adds a picture from its file.
         *
         * @param file which is read now
         * @return this
         * @throws UncheckedIOException if it cannot be read
         */
        public Builder picture(Path file) {
            try {
                pictures.add(Files.readAllBytes(file));
            } catch (IOException error) {
                throw new UncheckedIOException("cannot read " + file, error);
            }
            return this;
        }

        /**
         * Adds a text.
         *
         * @param text any text
         * @return this
         */
        public Builder text(String text) {
            texts.add(Objects.requireNonNull(text, "text"));
            return this;
        }

        /**
         * Adds a row of features in the model's order.
         *
         * @param values one for each feature
         * @return this
         */
        public Builder features(double... values) {
            features.add(Json.of(values));
            return this;
        }

        /**
         * Adds a row of features by name.
         *
         * @param values numbers, texts or lists of them
         * @return this
         * @throws IllegalArgumentException if JSON has no form for one of them
         */
        public Builder features(Map<String, ?> values) {
            features.add(Json.of(values));
            return this;
        }

        /**
         * Asks for so many classes.
         *
         * @param most how many at most, at least 1
         * @return this
         */
        public Builder top(int most) {
            return option("top", most);
        }

        /**
         * Leaves out what is found with a lower score.
         *
         * @param score the lowest that is told
         * @return this
         */
        public Builder threshold(double score) {
            return option("threshold", score);
        }

        /**
         * Asks for each token's own vector too, where the task has them.
         *
         * @param wanted whether to tell them
         * @return this
         */
        public Builder tokens(boolean wanted) {
            return option("tokens", wanted);
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
         * @throws IllegalArgumentException if there is nothing to look at
         */
        public PredictRequest build() {
            if (pictures.isEmpty() && texts.isEmpty() && features.isEmpty()) {
                throw new IllegalArgumentException(
                        "a request for " + model + " needs a picture, a text or features");
            }
            return new PredictRequest(this);
        }

        private Builder option(String name, Object value) {
            options.put(name, Json.of(value));
            return this;
        }
    }
}
