package io.paddlesrv.client;

import java.net.URI;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** One HTTP request, before anything is known of attempts. */
final class Outgoing {
    final URI uri;
    /** Null for a GET. */
    final byte[] body;
    final Map<String, String> headers = new LinkedHashMap<>();
    /** Null for the client's own. */
    final Duration timeout;

    private Outgoing(URI uri, byte[] body, Duration timeout) {
        this.uri = uri;
        this.body = body;
        this.timeout = timeout;
    }

    static Outgoing get(URI uri) {
        return new Outgoing(uri, null, null);
    }

    static Outgoing post(URI uri, String contentType, byte[] body, Optional<Duration> timeout) {
        Outgoing request = new Outgoing(uri, body, timeout.orElse(null));
        request.headers.put("Content-Type", contentType);
        return request;
    }

    Outgoing header(String name, String value) {
        headers.put(name, value);
        return this;
    }
}
