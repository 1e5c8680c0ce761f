package io.paddlesrv.client;

import java.net.ProxySelector;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import javax.net.ssl.SSLContext;

/** Collects how a {@link PaddlesrvClient} is to be; for one thread. */
public final class ClientBuilder {
    final Map<String, String> headers = new LinkedHashMap<>();
    Duration connectTimeout = Duration.ofSeconds(5);
    Duration timeout = Duration.ofSeconds(60);
    RetryPolicy retries = RetryPolicy.ofAttempts(3);
    long maxAnswerBytes = 1L << 30;
    boolean compressRequests;
    SSLContext sslContext;
    ProxySelector proxy;
    final Endpoint server;
    TensorForm form = TensorForm.BINARY;

    ClientBuilder(String url) {
        server = new Endpoint(Objects.requireNonNull(url, "url"));
        headers.put("User-Agent", "paddlesrv-client-java/0.1.0");
    }

    /**
     * How long a connection may take to come about; 5 s unless said otherwise.
     *
     * @param value the time
     * @return this
     */
    public ClientBuilder connectTimeout(Duration value) {
        connectTimeout = Durations.positive("connectTimeout", value);
        return this;
    }

    /**
     * How long a call may take with all its repetitions; 60 s unless said otherwise.
     *
     * @param value the time
     * @return this
     */
    public ClientBuilder timeout(Duration value) {
        timeout = Durations.positive("timeout", value);
        return this;
    }

    /**
     * When a call is made again; three attempts unless said otherwise.
     *
     * @param value the policy
     * @return this
     */
    public ClientBuilder retries(RetryPolicy value) {
        retries = Objects.requireNonNull(value, "retries");
        return this;
    }

    /**
     * How tensors travel; as bytes unless said otherwise.
     *
     * @param value the form
     * @return this
     */
    public ClientBuilder tensorForm(TensorForm value) {
        form = Objects.requireNonNull(value, "tensorForm");
        return this;
    }

    /**
     * Sends requests of a kilobyte and more compressed by gzip, for slow networks; not unless
     * said.
     *
     * @param value whether to
     * @return this
     */
    public ClientBuilder compressRequests(boolean value) {
        compressRequests = value;
        return this;
    }

    /**
     * Asks for answers compressed by gzip, for slow networks; not unless said.
     *
     * @param value whether to
     * @return this
     */
    public ClientBuilder compressAnswers(boolean value) {
        if (value) {
            headers.put("Accept-Encoding", "gzip");
        } else {
            headers.remove("Accept-Encoding");
        }
        return this;
    }

    /**
     * The most that an answer may hold, uncompressed; 1 GiB unless said otherwise.
     *
     * @param value bytes
     * @return this
     */
    public ClientBuilder maxAnswerBytes(long value) {
        if (value < 1) {
            throw new IllegalArgumentException("maxAnswerBytes must be positive, not " + value);
        }
        maxAnswerBytes = Math.min(value, Integer.MAX_VALUE - 8);
        return this;
    }

    /**
     * Sends {@code Authorization: Bearer TOKEN} with every request.
     *
     * @param token a token or an API key, as the server expects it
     * @return this
     */
    public ClientBuilder bearerToken(String token) {
        return header("Authorization", "Bearer " + Objects.requireNonNull(token, "token"));
    }

    /**
     * Sends a header with every request, such as an API key under the name that a gateway
     * expects.
     *
     * @param name the header's name
     * @param value its value
     * @return this
     * @throws IllegalArgumentException if it is no header, or one that the JDK keeps for itself
     */
    public ClientBuilder header(String name, String value) {
        HttpRequest.newBuilder().header(name, value); // which refuses what cannot be sent
        headers.put(name, value);
        return this;
    }

    /**
     * Trusts, and shows, other certificates than the JDK's.
     *
     * @param value the context for connections by https
     * @return this
     */
    public ClientBuilder sslContext(SSLContext value) {
        sslContext = Objects.requireNonNull(value, "sslContext");
        return this;
    }

    /**
     * Goes through other proxies than the JDK's settings say.
     *
     * @param value which proxy for which address
     * @return this
     */
    public ClientBuilder proxy(ProxySelector value) {
        proxy = Objects.requireNonNull(value, "proxy");
        return this;
    }

    /**
     * The client.
     *
     * @return with what was said so far
     */
    public PaddlesrvClient build() {
        return new PaddlesrvClient(this);
    }
}
