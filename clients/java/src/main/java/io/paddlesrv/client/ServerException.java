package io.paddlesrv.client;

import java.time.Duration;
import java.util.Optional;

/** The server, or something before it, answered that it will not do what was asked. */
public final class ServerException extends PaddlesrvException {
    private static final long serialVersionUID = 1L;
    private static final int EXCERPT = 200;

    /** The HTTP status. */
    private final int status;
    /** The kind of error, or null. */
    private final String code;
    /** What to do next, or null. */
    private final String hint;
    /** When to come again, or null. */
    private final Duration retryAfter;

    private ServerException(
            String message,
            String requestId,
            int status,
            String code,
            String hint,
            Duration retryAfter) {
        super(message, requestId, null);
        this.status = status;
        this.code = code;
        this.hint = hint;
        this.retryAfter = retryAfter;
    }

    /** From an answer that is no success; what its body does not say is left out. */
    static ServerException from(Answer answer) {
        Duration retryAfter = answer.retryAfter().orElse(null);
        Optional<Json> body = errorObject(answer);
        if (body.isEmpty()) {
            String message = "the server answered " + answer.status() + excerpt(answer);
            return new ServerException(
                    message, answer.requestId(), answer.status(), null, null, retryAfter);
        }
        String error = Metadata.text(body.get().get("error"));
        return new ServerException(
                error,
                text(body.get(), "request_id").orElse(answer.requestId()),
                answer.status(),
                text(body.get(), "code").orElse(null),
                text(body.get(), "hint").orElse(null),
                retryAfter);
    }

    /**
     * The HTTP status.
     *
     * @return such as 400 for bad input, 404 for an unknown model, 429 for a full queue
     */
    public int status() {
        return status;
    }

    /**
     * The kind of error, in a word that does not change.
     *
     * @return such as {@code "invalid-input"}; empty if it was not paddlesrv that answered
     */
    public Optional<String> code() {
        return Optional.ofNullable(code);
    }

    /**
     * What to do next.
     *
     * @return the server's advice, if it has one
     */
    public Optional<String> hint() {
        return Optional.ofNullable(hint);
    }

    /**
     * How long the server asked to be left alone.
     *
     * @return the answer's {@code Retry-After}
     */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(retryAfter);
    }

    /** The error with its status, hint and request id, in one line. */
    @Override
    public String toString() {
        String advice = hint == null ? "" : "; hint: " + hint;
        return getClass().getName()
                + ": "
                + status
                + " "
                + getMessage()
                + advice
                + " [request "
                + requestId()
                + "]";
    }

    private static Optional<Json> errorObject(Answer answer) {
        try {
            Json body = Json.parse(answer.body());
            return body.find("error").isPresent() ? Optional.of(body) : Optional.empty();
        } catch (IllegalArgumentException notJson) {
            return Optional.empty();
        }
    }

    private static Optional<String> text(Json body, String name) {
        return body.find(name)
                .filter(value -> value.kind() == Json.Kind.STRING)
                .map(Json::asString);
    }

    private static String excerpt(Answer answer) {
        String text = Texts.excerpt(answer.body(), EXCERPT);
        String type = answer.header("content-type").map(name -> " with " + name).orElse("");
        return text.isEmpty() ? type : type + ": " + text;
    }
}
