package io.paddlesrv.client;

import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * Asks a paddlesrv server, or another that speaks the Open Inference Protocol over HTTP.
 *
 * <pre>{@code
 * try (PaddlesrvClient client = PaddlesrvClient.builder("http://127.0.0.1:9393").build()) {
 *     Tensor rows = Tensor.ofFloats(new long[] {1, 13}, features);
 *     float[] price = client.infer("uci_housing", Map.of("x", rows)).output("price").toFloats();
 *
 *     Json best = client.predict("resnet50", Path.of("cat.jpg")).result().get("classes").at(0);
 *     System.out.println(best.get("label").asString());
 * }
 * }</pre>
 *
 * <p>One client serves any number of threads and keeps its connections. Every call ends within its
 * timeout, repetitions included ({@link RetryPolicy}). A call fails with one of the
 * {@link PaddlesrvException}s; those with {@code Async} in their name give it as the cause of the
 * future's failure, and to cancel the future ends the call.
 */
public final class PaddlesrvClient implements AutoCloseable {
    private final Endpoint server;
    private final TensorForm form;
    private final Transport transport;

    PaddlesrvClient(ClientBuilder builder) {
        server = builder.server;
        form = builder.form;
        transport = new Transport(builder);
    }

    /**
     * Starts a client.
     *
     * @param url the server's address, such as {@code http://127.0.0.1:9393}; a path is kept before
     *     those of the protocol
     * @return what the rest is said to
     * @throws IllegalArgumentException if it is no such address
     */
    public static ClientBuilder builder(String url) {
        return new ClientBuilder(url);
    }

    /**
     * A client with nothing changed.
     *
     * @param url the server's address
     * @return the client
     * @throws IllegalArgumentException if it is no such address
     */
    public static PaddlesrvClient of(String url) {
        return builder(url).build();
    }

    /**
     * Asks a model with tensors.
     *
     * @param model the model's name or alias
     * @param inputs the tensors by name
     * @param outputs the outputs wanted; none for all
     * @return what the model answered
     * @throws PaddlesrvException if the call fails
     */
    public InferResult infer(String model, Map<String, Tensor> inputs, String... outputs) {
        return infer(InferRequest.builder(model).inputs(inputs).outputs(outputs).build());
    }

    /**
     * Asks a model with tensors.
     *
     * @param request the model, its inputs and more
     * @return what the model answered
     * @throws PaddlesrvException if the call fails
     */
    public InferResult infer(InferRequest request) {
        return Transport.await(inferAsync(request));
    }

    /**
     * Asks a model with tensors, and does not wait.
     *
     * @param request the model, its inputs and more
     * @return what the model will have answered
     */
    public CompletableFuture<InferResult> inferAsync(InferRequest request) {
        InferenceCodec.Body body = InferenceCodec.encode(request, form);
        String type = body.binary() ? "application/octet-stream" : "application/json";
        URI uri =
                request.version()
                        .map(v -> at("v2", "models", request.model(), "versions", v, "infer"))
                        .orElseGet(() -> at("v2", "models", request.model(), "infer"));
        Outgoing message = Outgoing.post(uri, type, body.bytes, request.timeout());
        if (body.binary()) {
            message.header(InferenceCodec.HEADER_LENGTH, Integer.toString(body.headerLength));
        }
        return transport.send(message, answer -> InferenceCodec.decode(answer, request));
    }

    /**
     * Asks a model's task about a picture in a file.
     *
     * @param model the model's name or alias
     * @param picture a file: PNG, JPEG and others
     * @return what it sees
     * @throws PaddlesrvException if the call fails
     * @throws java.io.UncheckedIOException if the file cannot be read
     */
    public Prediction predict(String model, Path picture) {
        return predict(PredictRequest.builder(model).picture(picture).build());
    }

    /**
     * Asks a model's task about a picture.
     *
     * @param model the model's name or alias
     * @param picture as its file holds it
     * @return what it sees
     * @throws PaddlesrvException if the call fails
     */
    public Prediction predict(String model, byte[] picture) {
        return predict(PredictRequest.builder(model).picture(picture).build());
    }

    /**
     * Asks a model's task about a text. A file's name is no file: see {@link #predict(String,
     * Path)}.
     *
     * @param model the model's name or alias
     * @param text any text
     * @return what it reads
     * @throws PaddlesrvException if the call fails
     */
    public Prediction predict(String model, String text) {
        return predict(PredictRequest.builder(model).text(text).build());
    }

    /**
     * Asks a model's task about features by name.
     *
     * @param model the model's name or alias
     * @param features numbers, texts or lists of them
     * @return what it makes of them
     * @throws PaddlesrvException if the call fails
     */
    public Prediction predict(String model, Map<String, ?> features) {
        return predict(PredictRequest.builder(model).features(features).build());
    }

    /**
     * Asks a model's task about features in the model's order.
     *
     * @param model the model's name or alias
     * @param features one number for each
     * @return what it makes of them
     * @throws PaddlesrvException if the call fails
     */
    public Prediction predict(String model, double[] features) {
        return predict(PredictRequest.builder(model).features(features).build());
    }

    /**
     * Asks a model's task about several things, or with options.
     *
     * @param request the model, what it is asked about, and more
     * @return one result for each thing
     * @throws PaddlesrvException if the call fails
     */
    public Prediction predict(PredictRequest request) {
        return Transport.await(predictAsync(request));
    }

    /**
     * Asks a model's task, and does not wait.
     *
     * @param request the model, what it is asked about, and more
     * @return what it will have answered
     */
    public CompletableFuture<Prediction> predictAsync(PredictRequest request) {
        Outgoing message = PredictCodec.encode(server, request, false);
        return transport.send(message, answer -> new Prediction(Json.parse(answer.body())));
    }

    /**
     * Asks a model's task about a picture, to be shown in it.
     *
     * @param model the model's name or alias
     * @param picture a file: PNG, JPEG and others
     * @return the picture with what was found drawn into it, as a PNG
     * @throws PaddlesrvException if the call fails
     * @throws java.io.UncheckedIOException if the file cannot be read
     */
    public byte[] draw(String model, Path picture) {
        return draw(PredictRequest.builder(model).picture(picture).build());
    }

    /**
     * Asks a model's task about a picture, to be shown in it.
     *
     * @param model the model's name or alias
     * @param picture as its file holds it
     * @return the picture with what was found drawn into it, as a PNG
     * @throws PaddlesrvException if the call fails
     */
    public byte[] draw(String model, byte[] picture) {
        return draw(PredictRequest.builder(model).picture(picture).build());
    }

    /**
     * Asks a model's task about a picture, to be shown in it, with options.
     *
     * @param request the model, the picture, and more
     * @return the picture with what was found drawn into it, as a PNG
     * @throws PaddlesrvException if the call fails
     */
    public byte[] draw(PredictRequest request) {
        return Transport.await(drawAsync(request));
    }

    /**
     * Asks a model's task about a picture, to be shown in it, and does not wait.
     *
     * @param request the model, the picture, and more
     * @return the PNG that will have been answered
     */
    public CompletableFuture<byte[]> drawAsync(PredictRequest request) {
        return transport.send(PredictCodec.encode(server, request, true), PredictCodec::picture);
    }

    /**
     * Asks the server what it is.
     *
     * @return its name, version and extensions
     * @throws PaddlesrvException if the call fails
     */
    public ServerMetadata serverMetadata() {
        return Transport.await(get(at("v2"), ServerMetadata::new));
    }

    /**
     * Asks what a model takes and gives.
     *
     * @param model the model's name or alias
     * @return its inputs, outputs and more
     * @throws PaddlesrvException if the call fails
     */
    public ModelMetadata modelMetadata(String model) {
        return Transport.await(get(at("v2", "models", model), ModelMetadata::new));
    }

    /**
     * Whether the server's process lives.
     *
     * @return true if it says so; false if it does not, or cannot be reached
     * @throws ServerException if it refuses to tell (401, 403, 404)
     */
    public boolean isLive() {
        return says("live", at("v2", "health", "live"));
    }

    /**
     * Whether the server can answer for all its models.
     *
     * @return true if it says so; false if it does not, or cannot be reached
     * @throws ServerException if it refuses to tell (401, 403, 404)
     */
    public boolean isReady() {
        return says("ready", at("v2", "health", "ready"));
    }

    /**
     * Whether a model can answer.
     *
     * @param model the model's name or alias
     * @return true if the server says so; false if it does not, or cannot be reached
     * @throws ServerException if there is no such model, or it refuses to tell (401, 403)
     */
    public boolean isModelReady(String model) {
        return says("ready", at("v2", "models", model, "ready"));
    }

    /** Ends all calls that are under way: they are cancelled. */
    @Override
    public void close() {
        transport.close();
    }

    /** The server's address; nothing that is secret. */
    @Override
    public String toString() {
        return "PaddlesrvClient[" + server + "]";
    }

    private URI at(String... names) {
        return server.resolve("", names);
    }

    private <T> CompletableFuture<T> get(URI uri, Function<Json, T> reader) {
        return transport.send(Outgoing.get(uri), answer -> reader.apply(Json.parse(answer.body())));
    }

    /** Some servers answer by the status alone. */
    private boolean says(String field, URI uri) {
        Function<Answer, Boolean> reader =
                answer ->
                        answer.body().length == 0
                                || Json.parse(answer.body()).get(field).asBoolean();
        try {
            return Transport.await(
                    transport.send(Outgoing.get(uri), reader, RetryPolicy.none()));
        } catch (ConnectionFailedException | DeadlineException unreachable) {
            return false;
        } catch (ServerException answered) {
            int status = answered.status();
            if (status == 401 || status == 403 || status == 404) {
                throw answered;
            }
            return false;
        }
    }
}
