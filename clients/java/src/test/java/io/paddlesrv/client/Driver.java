package io.paddlesrv.client;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Does what each line of its input says, and tells in a line what came of it. */
public final class Driver {
    private final Map<Json, PaddlesrvClient> clients = new HashMap<>();
    private CompletableFuture<InferResult> begun;
    private Waiting waiting;

    private Driver() {}

    /** One line, one answer. */
    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Driver driver = new Driver();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(driver.answer(Json.parse(line)));
        }
    }

    private Json answer(Json command) {
        Map<String, Object> said = new LinkedHashMap<>();
        try {
            said.put("ok", perform(command));
        } catch (Exception error) {
            said.put("failed", failure(error));
        }
        return Json.of(said);
    }

    private static Map<String, Object> failure(Exception error) {
        Map<String, Object> failure = new LinkedHashMap<>();
        failure.put("kind", error.getClass().getSimpleName());
        failure.put("message", String.valueOf(error.getMessage()));
        failure.put("cause", error.getCause() == null ? null : error.getCause().toString());
        StackTraceElement[] trace = error.getStackTrace();
        boolean here = false;
        for (StackTraceElement element : trace) {
            here |= element.getClassName().equals(Driver.class.getName());
        }
        failure.put("tells_where", here);
        if (error instanceof PaddlesrvException) {
            failure.put("request_id", ((PaddlesrvException) error).requestId());
        }
        if (error instanceof ServerException) {
            ServerException refusal = (ServerException) error;
            failure.put("status", refusal.status());
            failure.put("code", refusal.code().orElse(null));
            failure.put("hint", refusal.hint().orElse(null));
        }
        return failure;
    }

    private Object perform(Json command) throws Exception {
        switch (command.get("do").asString()) {
            case "infer":
                return told(client(command).infer(inference(command)));
            case "begin":
                begun = client(command).inferAsync(inference(command));
                return true;
            case "wait":
                waiting = new Waiting(client(command), inference(command));
                waiting.start();
                return true;
            case "interrupt":
                waiting.interrupt();
                waiting.join();
                return List.of(waiting.ended, waiting.marked);
            case "cancel":
                return begun.cancel(true);
            case "close":
                client(command).close();
                return begun.isCancelled();
            case "predict":
                return client(command).predict(prediction(command)).json();
            case "predict_async":
                return client(command).predictAsync(prediction(command)).get().json();
            case "draw":
                return Wire.base64(client(command).draw(prediction(command)));
            case "server":
                ServerMetadata server = client(command).serverMetadata();
                return List.of(server.name(), server.version(), server.extensions());
            case "model":
                return described(client(command).modelMetadata(command.get("model").asString()));
            case "live":
                return client(command).isLive();
            case "ready":
                return client(command).isReady();
            case "model_ready":
                return client(command).isModelReady(command.get("model").asString());
            case "many":
                return many(command);
            case "json":
                return Json.parse(Base64.getDecoder().decode(command.get("text").asString()))
                        .toString();
            case "halves":
                return halves(Base64.getDecoder().decode(command.get("floats").asString()));
            default:
                throw new IllegalArgumentException("unknown: " + command);
        }
    }

    private PaddlesrvClient client(Json command) throws Exception {
        Json settings = command.get("client");
        if (!clients.containsKey(settings)) {
            clients.put(settings, build(settings));
        }
        return clients.get(settings);
    }

    private static PaddlesrvClient build(Json settings) throws Exception {
        ClientBuilder builder = PaddlesrvClient.builder(settings.get("url").asString());
        settings.find("timeout_ms")
                .ifPresent(ms -> builder.timeout(Duration.ofMillis(ms.asLong())));
        settings.find("attempts")
                .ifPresent(
                        n ->
                                builder.retries(
                                        RetryPolicy.of(
                                                n.asInt(), Duration.ZERO, Duration.ofMillis(1))));
        settings.find("form").ifPresent(f -> builder.tensorForm(TensorForm.valueOf(f.asString())));
        settings.find("compress").ifPresent(c -> builder.compressRequests(c.asBoolean()));
        settings.find("compress_answers").ifPresent(c -> builder.compressAnswers(c.asBoolean()));
        settings.find("max_answer").ifPresent(n -> builder.maxAnswerBytes(n.asLong()));
        settings.find("token").ifPresent(t -> builder.bearerToken(t.asString()));
        settings.find("headers")
                .ifPresent(h -> h.fields().forEach((n, v) -> builder.header(n, v.asString())));
        if (settings.find("trust").isPresent()) {
            builder.sslContext(trusting(settings.get("trust").asString()));
        }
        return builder.build();
    }

    private static SSLContext trusting(String pem) throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream file = new FileInputStream(pem)) {
            store.setCertificateEntry(
                    "server", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private static InferRequest inference(Json command) {
        InferRequest.Builder request = InferRequest.builder(command.get("model").asString());
        command.get("inputs").fields().forEach((n, t) -> request.input(n, Wire.read(t)));
        command.find("outputs")
                .ifPresent(all -> all.items().forEach(one -> request.outputs(one.asString())));
        command.find("id").ifPresent(id -> request.id(id.asString()));
        command.find("version").ifPresent(version -> request.version(version.asString()));
        return request.build();
    }

    private static PredictRequest prediction(Json command) {
        PredictRequest.Builder request = PredictRequest.builder(command.get("model").asString());
        command.find("pictures")
                .ifPresent(all -> all.items().forEach(p -> request.picture(Path.of(p.asString()))));
        command.find("texts")
                .ifPresent(all -> all.items().forEach(text -> request.text(text.asString())));
        command.find("features").ifPresent(row -> request.features(row.asDoubles()));
        command.find("named").ifPresent(row -> request.features(row.fields()));
        command.find("top").ifPresent(top -> request.top(top.asInt()));
        command.find("threshold").ifPresent(score -> request.threshold(score.asDouble()));
        return request.build();
    }

    private static Object told(InferResult result) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("model", result.model());
        told.put("version", result.version().orElse(null));
        told.put("id", result.id().orElse(null));
        Map<String, Json> outputs = new LinkedHashMap<>();
        result.outputs().forEach((name, tensor) -> outputs.put(name, Wire.write(tensor)));
        told.put("outputs", outputs);
        return told;
    }

    private static Object described(ModelMetadata model) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("name", model.name());
        told.put("platform", model.platform());
        told.put("versions", model.versions());
        told.put("properties", model.properties());
        List<Object> inputs = new ArrayList<>();
        for (TensorMetadata input : model.inputs()) {
            inputs.add(List.of(input.name(), input.datatype(), Json.of(input.shape())));
        }
        told.put("inputs", inputs);
        return told;
    }

    /** Many threads with one client: each asks with rows of its own, several at once. */
    private Object many(Json command) throws Exception {
        PaddlesrvClient client = client(command);
        List<CompletableFuture<Json>> answers = new ArrayList<>();
        for (Json input : command.get("each").items()) {
            Tensor tensor = Wire.read(input);
            answers.add(
                    CompletableFuture.supplyAsync(
                                    () ->
                                            client.inferAsync(
                                                    InferRequest.builder("linear")
                                                            .input("x", tensor)
                                                            .build()))
                            .thenCompose(answer -> answer)
                            .thenApply(result -> Wire.write(result.output())));
        }
        List<Json> all = new ArrayList<>();
        for (CompletableFuture<Json> answer : answers) {
            all.add(answer.get());
        }
        return all;
    }

    /** Every half float as a float, and floats as half floats. */
    private static Object halves(byte[] floats) {
        ByteBuffer all = ByteBuffer.allocate(4 << 16);
        for (int bits = 0; bits < 1 << 16; bits++) {
            all.putFloat(HalfFloat.toFloat((short) bits));
        }
        ByteBuffer given = ByteBuffer.wrap(floats);
        ByteBuffer rounded = ByteBuffer.allocate(floats.length / 2);
        while (given.hasRemaining()) {
            rounded.putShort(HalfFloat.fromFloat(given.getFloat()));
        }
        return List.of(Wire.base64(all.array()), Wire.base64(rounded.array()));
    }

    /** A thread that waits for an answer. */
    private static final class Waiting extends Thread {
        private final PaddlesrvClient client;
        private final InferRequest request;
        private String ended = "an answer";
        private boolean marked;

        Waiting(PaddlesrvClient client, InferRequest request) {
            this.client = client;
            this.request = request;
        }

        @Override
        public void run() {
            try {
                client.infer(request);
            } catch (RuntimeException error) {
                ended = error.getClass().getSimpleName();
                marked = Thread.currentThread().isInterrupted();
            }
        }
    }
}
