package io.paddlesrv.client;

/**
 * The call's time was over before its answer was there; the server is told by closing the
 * connection. The cause, if any, is what went wrong at the attempt before.
 */
public final class DeadlineException extends PaddlesrvException {
    private static final long serialVersionUID = 1L;

    DeadlineException(String message, String requestId, Throwable cause) {
        super(message, requestId, cause);
    }
}
