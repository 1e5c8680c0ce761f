package io.paddlesrv.client;

/** No server was reached, or the connection broke before the answer was there. */
public final class ConnectionFailedException extends PaddlesrvException {
    private static final long serialVersionUID = 1L;

    ConnectionFailedException(String message, String requestId, Throwable cause) {
        super(message, requestId, cause);
    }
}
