package io.paddlesrv.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.zip.GZIPOutputStream;

/** Makes calls over HTTP: what they all share, and which of them are under way. */
final class Transport implements AutoCloseable {
    private static final int WORTH_COMPRESSING = 1024;

    final RetryPolicy retries;
    final long maxAnswerBytes;
    private final Map<String, String> headers;
    private final boolean compressRequests;
    private final Duration timeout;
    private final ScheduledThreadPoolExecutor timer;
    private final Set<Call<?>> open = ConcurrentHashMap.newKeySet();
    /** Null once closed. */
    private volatile HttpClient http;

    Transport(ClientBuilder settings) {
        retries = settings.retries;
        maxAnswerBytes = settings.maxAnswerBytes;
        headers = Map.copyOf(settings.headers);
        compressRequests = settings.compressRequests;
        timeout = settings.timeout;
        HttpClient.Builder builder =
                HttpClient.newBuilder()
                        .version(HttpClient.Version.HTTP_1_1)
                        .connectTimeout(settings.connectTimeout);
        if (settings.sslContext != null) {
            builder.sslContext(settings.sslContext);
        }
        if (settings.proxy != null) {
            builder.proxy(settings.proxy);
        }
        http = builder.build();
        timer = new ScheduledThreadPoolExecutor(1, Transport::daemon);
        timer.setRemoveOnCancelPolicy(true);
    }

    /** Makes a call, with repetitions as the policy says. */
    <T> CompletableFuture<T> send(Outgoing request, Function<Answer, T> reader) {
        return send(request, reader, retries);
    }

    <T> CompletableFuture<T> send(
            Outgoing request, Function<Answer, T> reader, RetryPolicy policy) {
        byte[] body = request.body;
        boolean compress = compressRequests && body != null && body.length >= WORTH_COMPRESSING;
        HttpRequest.Builder message = HttpRequest.newBuilder(request.uri);
        headers.forEach(message::setHeader);
        request.headers.forEach(message::setHeader);
        if (compress) {
            message.setHeader("Content-Encoding", "gzip");
            body = compressed(body);
        }
        message.method(
                body == null ? "GET" : "POST",
                body == null
                        ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofByteArray(body));
        Duration limit = request.timeout == null ? timeout : request.timeout;
        Call<T> call = new Call<>(this, message, reader, policy, limit);
        open.add(call);
        if (http == null) {
            open.remove(call);
            throw new IllegalStateException("the client is closed");
        }
        call.start();
        return call.outcome;
    }

    /** Waits for a call; if the thread is interrupted, the call ends and the mark stays. */
    static <T> T await(CompletableFuture<T> outcome) {
        try {
            return outcome.get();
        } catch (InterruptedException error) {
            outcome.cancel(true);
            Thread.currentThread().interrupt();
            throw new CancellationException("interrupted while waiting for the server");
        } catch (ExecutionException error) {
            if (error.getCause() instanceof PaddlesrvException) {
                // Nobody else has it: it tells where the call was made, its cause what broke.
                throw (PaddlesrvException) error.getCause().fillInStackTrace();
            }
            throw new IllegalStateException(error.getCause());
        }
    }

    HttpClient http() {
        HttpClient current = http;
        if (current == null) {
            throw new CancellationException("the client was closed");
        }
        return current;
    }

    /** Does something later, on a thread that may be kept for a while. */
    Future<?> after(long nanoseconds, Runnable task) {
        return timer.schedule(
                () -> ForkJoinPool.commonPool().execute(task), nanoseconds, TimeUnit.NANOSECONDS);
    }

    void forget(Call<?> call) {
        open.remove(call);
    }

    /** Ends what is under way. Idle connections go with the HttpClient, which has no close. */
    @Override
    public void close() {
        http = null;
        open.forEach(call -> call.outcome.cancel(true));
        timer.shutdownNow();
    }

    private static Thread daemon(Runnable task) {
        Thread thread = new Thread(task, "paddlesrv-client-timer");
        thread.setDaemon(true);
        return thread;
    }

    private static byte[] compressed(byte[] body) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(body.length / 2);
        try (GZIPOutputStream stream = new GZIPOutputStream(bytes)) {
            stream.write(body);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytes.toByteArray();
    }
}
