package io.paddlesrv.client;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How often, and after which waits, a call is made again when no server was reached, the
 * connection broke, or the server said that it is busy (429) or not ready (503).
 *
 * <p>Before the n-th repetition a random time passes, up to {@code firstDelay} doubled n - 1 times
 * and at most {@code maxDelay}: many clients of one server shall not come back together. A
 * {@code Retry-After} is waited for on top. A wait that would end after the call's deadline is
 * not begun: the error is given at once. Asking a model twice does no harm, so every call may be
 * repeated.
 */
public final class RetryPolicy {
    private static final RetryPolicy NONE =
            new RetryPolicy(1, Duration.ofMillis(1), Duration.ofMillis(1));

    private final int attempts;
    private final Duration firstDelay;
    private final Duration maxDelay;

    private RetryPolicy(int attempts, Duration firstDelay, Duration maxDelay) {
        this.attempts = attempts;
        this.firstDelay = firstDelay;
        this.maxDelay = maxDelay;
    }

    /**
     * One attempt.
     *
     * @return a policy that never repeats
     */
    public static RetryPolicy none() {
        return NONE;
    }

    /**
     * So many attempts, with waits from up to 100 ms to up to 5 s between them.
     *
     * @param attempts how often a call is made at most, the first time included
     * @return the policy
     */
    public static RetryPolicy ofAttempts(int attempts) {
        return of(attempts, Duration.ofMillis(100), Duration.ofSeconds(5));
    }

    /**
     * So many attempts with waits of one's own choice between them.
     *
     * @param attempts how often a call is made at most, the first time included
     * @param firstDelay the longest wait before the first repetition
     * @param maxDelay the longest wait before any
     * @return the policy
     */
    public static RetryPolicy of(int attempts, Duration firstDelay, Duration maxDelay) {
        Objects.requireNonNull(firstDelay, "firstDelay");
        Objects.requireNonNull(maxDelay, "maxDelay");
        if (attempts < 1) {
            throw new IllegalArgumentException("attempts must be at least 1, not " + attempts);
        }
        if (firstDelay.isNegative() || firstDelay.compareTo(maxDelay) > 0) {
            throw new IllegalArgumentException(
                    "delays must not be negative, nor the first longer than the longest: "
                            + firstDelay
                            + ", "
                            + maxDelay);
        }
        return new RetryPolicy(attempts, firstDelay, maxDelay);
    }

    /**
     * How often a call is made at most.
     *
     * @return attempts, the first included
     */
    public int attempts() {
        return attempts;
    }

    /** A random wait after so many attempts. */
    Duration delay(int made) {
        long most = maxDelay.toNanos();
        long first = firstDelay.toNanos();
        int doublings = Math.min(made - 1, Long.numberOfLeadingZeros(Math.max(first, 1)) - 1);
        long limit = Math.min(first << doublings, most);
        return Duration.ofNanos(ThreadLocalRandom.current().nextLong(limit + 1));
    }
}
