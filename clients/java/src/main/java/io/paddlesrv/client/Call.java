package io.paddlesrv.client;

import java.io.IOException;
import java.net.ProtocolException;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;
import javax.net.ssl.SSLHandshakeException;

/** One call: its attempts one after another, until there is an answer or its time is over. */
final class Call<T> {
    /** Ends early if somebody cancels it. */
    final CompletableFuture<T> outcome = new CompletableFuture<>();

    private final Transport transport;
    private final HttpRequest.Builder message;
    private final Function<Answer, T> reader;
    private final RetryPolicy policy;
    private final Duration timeout;
    private final String requestId;
    private final long deadline;
    private int attempts;
    private volatile PaddlesrvException last;
    private CompletableFuture<?> exchange;
    private BoundedBody body;
    private Future<?> alarm;
    private Future<?> pause;

    Call(
            Transport transport,
            HttpRequest.Builder message,
            Function<Answer, T> reader,
            RetryPolicy policy,
            Duration timeout) {
        this.transport = transport;
        this.message = message;
        this.reader = reader;
        this.policy = policy;
        this.timeout = timeout;
        requestId = Long.toHexString(ThreadLocalRandom.current().nextLong() | Long.MIN_VALUE);
        deadline = System.nanoTime() + timeout.toNanos();
    }

    void start() {
        message.setHeader("X-Request-Id", requestId);
        outcome.whenComplete((value, error) -> end());
        try {
            schedule(() -> alarm = transport.after(left(), this::expire));
            attempt();
        } catch (RejectedExecutionException closed) {
            outcome.cancel(true);
        }
    }

    private long left() {
        return deadline - System.nanoTime();
    }

    private void attempt() {
        long left = left();
        if (outcome.isDone()) {
            return;
        }
        if (left <= 0) {
            expire();
            return;
        }
        attempts++;
        BoundedBody incoming = new BoundedBody(transport.maxAnswerBytes);
        HttpRequest request = message.copy().timeout(Duration.ofNanos(left)).build();
        CompletableFuture<HttpResponse<byte[]>> sent;
        try {
            sent = transport.http().sendAsync(request, head -> incoming);
        } catch (CancellationException closed) {
            outcome.cancel(true);
            return;
        } catch (RuntimeException unknown) {
            outcome.completeExceptionally(unknown);
            return;
        }
        schedule(
                () -> {
                    exchange = sent;
                    body = incoming;
                });
        sent.whenComplete(this::attempted);
    }

    private void attempted(HttpResponse<byte[]> response, Throwable error) {
        if (outcome.isDone()) {
            return;
        }
        try {
            if (error != null) {
                failed(error instanceof CompletionException ? error.getCause() : error);
                return;
            }
            Answer answer =
                    new Answer(
                            response.statusCode(), response.headers(), plain(response), requestId);
            if (answer.succeeded()) {
                outcome.complete(read(answer));
            } else {
                ServerException refusal = ServerException.from(answer);
                boolean busy = answer.status() == 429 || answer.status() == 503;
                Duration asked = refusal.retryAfter().orElse(Duration.ZERO);
                failed(refusal, busy, asked);
            }
        } catch (PaddlesrvException known) {
            failed(known, false, Duration.ZERO);
        } catch (IOException broken) {
            failed(broken);
        } catch (Throwable unknown) {
            outcome.completeExceptionally(unknown);
        }
    }

    private byte[] plain(HttpResponse<byte[]> response) throws IOException {
        String coding = response.headers().firstValue("content-encoding").orElse("identity");
        if (coding.equalsIgnoreCase("identity") || response.body().length == 0) {
            return response.body();
        }
        if (!coding.equalsIgnoreCase("gzip")) {
            throw malformed("the answer's content coding is unknown: " + coding, null);
        }
        try {
            return BoundedBody.decompress(response.body(), transport.maxAnswerBytes);
        } catch (BoundedBody.TooLarge error) {
            throw error;
        } catch (IOException error) {
            throw malformed("the answer is not gzip, as it says: " + error.getMessage(), error);
        }
    }

    private T read(Answer answer) {
        try {
            return reader.apply(answer);
        } catch (RuntimeException error) {
            String type = answer.header("content-type").orElse("no content type");
            throw malformed(
                    "the server's answer ("
                            + type
                            + ", "
                            + answer.body().length
                            + " bytes) is not what the protocol says: "
                            + error.getMessage(),
                    error);
        }
    }

    private void failed(Throwable error) {
        String reason = error.getMessage() == null ? error.toString() : error.getMessage();
        if (error instanceof HttpTimeoutException
                && !(error instanceof HttpConnectTimeoutException)) {
            expire();
        } else if (error instanceof BoundedBody.TooLarge) {
            failed(malformed(reason, error), false, Duration.ZERO);
        } else if (error instanceof ProtocolException) {
            failed(malformed("the answer is not HTTP: " + reason, error), false, Duration.ZERO);
        } else {
            String text = "no answer from " + message.copy().build().uri() + ": " + describe(error);
            boolean mayHeal =
                    error instanceof IOException && !(error instanceof SSLHandshakeException);
            failed(new ConnectionFailedException(text, requestId, error), mayHeal, Duration.ZERO);
        }
    }

    private void failed(PaddlesrvException error, boolean mayHeal, Duration asked) {
        last = error;
        if (mayHeal && left() <= 0) { // a connection that did not come about in time, for one
            expire();
            return;
        }
        Duration wait = asked.plus(policy.delay(attempts));
        boolean inTime = wait.compareTo(Duration.ofNanos(left())) < 0;
        if (!mayHeal || attempts >= policy.attempts() || !inTime) {
            outcome.completeExceptionally(error);
            return;
        }
        try {
            schedule(() -> pause = transport.after(wait.toNanos(), this::attempt));
        } catch (RejectedExecutionException closed) {
            outcome.cancel(true);
        }
    }

    private void expire() {
        String text = "no answer within " + timeout.toMillis() + " ms";
        String before = last == null ? "" : "; the attempt before: " + last.getMessage();
        outcome.completeExceptionally(new DeadlineException(text + before, requestId, last));
    }

    /** Takes note of something that must end with the call; ends it if the call has ended. */
    private void schedule(Runnable change) {
        synchronized (this) {
            change.run();
        }
        if (outcome.isDone()) {
            end();
        }
    }

    private void end() {
        CompletableFuture<?> runningExchange;
        BoundedBody runningBody;
        synchronized (this) {
            runningExchange = exchange;
            runningBody = body;
            if (alarm != null) {
                alarm.cancel(false);
            }
            if (pause != null) {
                pause.cancel(false);
            }
        }
        transport.forget(this);
        if (runningExchange != null && !runningExchange.isDone()) {
            runningBody.cancel();
            runningExchange.cancel(true);
        }
    }

    private MalformedAnswerException malformed(String text, Throwable cause) {
        return new MalformedAnswerException(text, requestId, cause);
    }

    /** HttpClient's exceptions often have no text of their own. */
    private static String describe(Throwable error) {
        StringBuilder text = new StringBuilder(error.getClass().getSimpleName());
        for (Throwable at = error; at != null; at = at.getCause()) {
            if (at.getMessage() != null) {
                return text.append(": ").append(at.getMessage()).toString();
            }
        }
        return text.toString();
    }
}
