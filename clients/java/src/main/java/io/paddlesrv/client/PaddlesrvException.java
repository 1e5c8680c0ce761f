package io.paddlesrv.client;

/**
 * What can go wrong with a call, one class for each decision that a caller can take.
 *
 * <pre>
 * PaddlesrvException
 * ├── ServerException             the server answered that it will not: status, code and hint
 * ├── ConnectionFailedException   no server was reached, or the connection broke
 * ├── DeadlineException           the call's time is over
 * └── MalformedAnswerException    something answered, but not what the protocol says
 * </pre>
 *
 * <p>A mistake in the arguments of a call is an {@link IllegalArgumentException}; an interrupted
 * or cancelled call ends with a {@link java.util.concurrent.CancellationException}.
 */
public abstract class PaddlesrvException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The id under which the call stands in the server's log. */
    private final String requestId;

    PaddlesrvException(String message, String requestId, Throwable cause) {
        super(message, cause);
        this.requestId = requestId;
    }

    /**
     * The id under which the call stands in the server's log, if it got that far.
     *
     * @return the id, as sent in {@code X-Request-Id}
     */
    public String requestId() {
        return requestId;
    }
}
