package io.paddlesrv.client;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** The body and the query of {@code POST /predict/MODEL}. */
final class PredictCodec {
    private PredictCodec() {}

    static Outgoing encode(Endpoint server, PredictRequest request, boolean draw) {
        Map<String, String> query = new LinkedHashMap<>();
        request.options().forEach((name, value) -> query.put(name, value.toString()));
        if (draw) {
            query.put("draw", "1");
        }
        String text =
                query.entrySet().stream()
                        .map(option -> option.getKey() + "=" + Endpoint.quote(option.getValue()))
                        .collect(Collectors.joining("&"));
        List<byte[]> pictures = request.pictures();
        // One picture goes as it is: base64 would make it a third larger.
        boolean bare =
                pictures.size() == 1 && request.texts().isEmpty() && request.features().isEmpty();
        return Outgoing.post(
                server.resolve(text, "predict", request.model()),
                bare ? "application/octet-stream" : "application/json",
                bare ? pictures.get(0) : json(request),
                request.timeout());
    }

    private static byte[] json(PredictRequest request) {
        Map<String, Object> body = new LinkedHashMap<>();
        if (!request.pictures().isEmpty()) {
            Base64.Encoder base64 = Base64.getEncoder();
            body.put(
                    "images",
                    request.pictures().stream()
                            .map(base64::encodeToString)
                            .collect(Collectors.toList()));
        }
        if (!request.texts().isEmpty()) {
            body.put("texts", request.texts());
        }
        if (!request.features().isEmpty()) {
            body.put("features", request.features());
        }
        return Json.of(body).toString().getBytes(StandardCharsets.UTF_8);
    }

    /**
     * A picture out of an answer.
     *
     * @throws IllegalArgumentException if it is none
     */
    static byte[] picture(Answer answer) {
        Optional<String> type = answer.header("content-type");
        if (type.isEmpty() || !type.get().startsWith("image/")) {
            throw new IllegalArgumentException("not a picture");
        }
        return answer.body();
    }
}
