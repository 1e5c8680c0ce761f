package io.paddlesrv.client;

/**
 * Something answered with success, but not what the protocol says: a cut body, sizes that do not
 * agree, a page of a proxy. Nothing of such an answer is used.
 */
public final class MalformedAnswerException extends PaddlesrvException {
    private static final long serialVersionUID = 1L;

    MalformedAnswerException(String message, String requestId, Throwable cause) {
        super(message, requestId, cause);
    }
}
