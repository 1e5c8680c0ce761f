package io.paddlesrv.client;

import java.net.http.HttpHeaders;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Optional;

/** One HTTP answer, its body whole and no longer compressed. */
final class Answer {
    private final int status;
    private final HttpHeaders headers;
    private final byte[] body;
    private final String requestId;

    Answer(int status, HttpHeaders headers, byte[] body, String requestId) {
        this.status = status;
        this.headers = headers;
        this.body = body;
        this.requestId = headers.firstValue("x-request-id").orElse(requestId);
    }

    int status() {
        return status;
    }

    boolean succeeded() {
        return status >= 200 && status < 300;
    }

    byte[] body() {
        return body;
    }

    String requestId() {
        return requestId;
    }

    Optional<String> header(String name) {
        return headers.firstValue(name);
    }

    /** Seconds or a date (RFC 9110, 10.2.3); never negative. */
    Optional<Duration> retryAfter() {
        return header("retry-after").map(String::strip).flatMap(Answer::duration);
    }

    private static Optional<Duration> duration(String text) {
        if (text.matches("[0-9]{1,9}")) {
            return Optional.of(Duration.ofSeconds(Long.parseLong(text)));
        }
        try {
            Instant then =
                    ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
            Duration wait = Duration.between(Instant.now(), then);
            return Optional.of(wait.isNegative() ? Duration.ZERO : wait);
        } catch (DateTimeException error) {
            return Optional.empty();
        }
    }
}
