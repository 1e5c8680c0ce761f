package io.paddlesrv.client;

import java.time.Duration;

/** Times that a user sets. */
final class Durations {
    /** Nobody waits longer; {@code ChronoUnit.FOREVER} does not fit into nanoseconds. */
    private static final Duration MOST = Duration.ofDays(365);

    private Durations() {}

    static Duration positive(String name, Duration value) {
        if (value == null || value.isZero() || value.isNegative()) {
            throw new IllegalArgumentException(name + " must be positive, not " + value);
        }
        return value.compareTo(MOST) < 0 ? value : MOST;
    }
}
