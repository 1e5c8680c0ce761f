package io.paddlesrv.client;

import java.util.List;

/**
 * What a model's task made of pictures, texts or features; immutable.
 *
 * <p>What a result holds is the task's: {@code classes} with label, index and score for
 * classification; {@code boxes} for detection; {@code text} for reading, and so on.
 */
public final class Prediction {
    private final Json json;
    private final String model;
    private final String task;
    private final List<Json> results;

    /**
     * Takes what must be there out of an answer.
     *
     * @throws IllegalArgumentException if it is not
     */
    Prediction(Json json) {
        this.json = json;
        try {
            model = json.get("model").asString();
            task = json.get("task").asString();
            results = json.get("results").items();
        } catch (IllegalStateException | java.util.NoSuchElementException error) {
            throw new IllegalArgumentException("not a prediction: " + error.getMessage(), error);
        }
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
     * The model's task.
     *
     * @return such as {@code "image-classification"}
     */
    public String task() {
        return task;
    }

    /**
     * One result for each picture, text or row of features, in their order.
     *
     * @return a list that cannot be changed
     */
    public List<Json> results() {
        return results;
    }

    /**
     * The first result, where one thing was asked.
     *
     * @return the result
     * @throws IndexOutOfBoundsException if there is none
     */
    public Json result() {
        return results.get(0);
    }

    /**
     * The whole answer, with times in {@code timing_ms}.
     *
     * @return as it came
     */
    public Json json() {
        return json;
    }

    /** The whole answer as JSON in one line. */
    @Override
    public String toString() {
        return json.toString();
    }
}
