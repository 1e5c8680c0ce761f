package io.paddlesrv.client;

import java.net.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Random;

/** What needs no server. Each check is a promise; the program ends with 1 if one is broken. */
public final class Checks {
    /** Something that must not fail. */
    private interface Check {
        void run();
    }

    private static final int DAMAGED = 50_000;

    private final Map<String, Check> checks = new LinkedHashMap<>();

    private Checks() {
        checks.put("a tensor keeps nothing of the arrays that it was made of", this::copies);
        checks.put("a tensor refuses a shape of another size", this::shapes);
        checks.put("a tensor is read as its own type or one that holds it", this::types);
        checks.put("unsigned integers keep their value or are refused", this::unsigned);
        checks.put("strings keep every byte; what is no UTF-8 is no text", this::strings);
        checks.put("raw bytes must be the tensor's", this::raw);
        checks.put("offsets must rise from 0 to the number of rows", this::offsets);
        checks.put("equal tensors are equal", this::equality);
        checks.put("what is missing is told with what is there", this::missing);
        checks.put("JSON of Java's values", this::json);
        checks.put("JSON numbers are exact or refused", this::numbers);
        checks.put("names are quoted in paths", this::quoting);
        checks.put("addresses that are none are refused", this::addresses);
        checks.put("delays stay below their limits", this::delays);
        checks.put("settings that cannot be are refused", this::settings);
        checks.put("a closed client says so", this::closed);
        checks.put("a client shows no secret", this::secrets);
        checks.put("no damage to an answer does more than fail", this::damage);
    }

    /** Runs all. */
    public static void main(String[] arguments) {
        Checks all = new Checks();
        int broken = 0;
        for (Map.Entry<String, Check> each : all.checks.entrySet()) {
            try {
                each.getValue().run();
                System.out.println("ok      " + each.getKey());
            } catch (RuntimeException | AssertionError error) {
                broken++;
                System.out.println("BROKEN  " + each.getKey() + ": " + error);
            }
        }
        System.out.println(all.checks.size() + " checks, " + broken + " broken");
        System.exit(broken == 0 ? 0 : 1);
    }

    private void copies() {
        float[] values = {1, 2};
        long[] shape = {2};
        Tensor tensor = Tensor.ofFloats(shape, values);
        values[0] = 9;
        shape[0] = 9;
        tensor.toFloats()[1] = 9;
        tensor.shape()[0] = 9;
        same(List.of(1f, 2f), List.of(tensor.toFloats()[0], tensor.toFloats()[1]));
        same("FP32 [2]", tensor.toString());
        refused(java.nio.ReadOnlyBufferException.class, () -> tensor.data().put(0, (byte) 1));
    }

    private void shapes() {
        same(1, Tensor.ofFloats(new long[] {}, 3).count());
        same(0, Tensor.ofFloats(new long[] {0, 4}).count());
        refused(IllegalArgumentException.class, () -> Tensor.ofFloats(new long[] {2, 2}, 1, 2, 3));
        refused(IllegalArgumentException.class, () -> Tensor.ofFloats(new long[] {-1}, 1));
        refused(IllegalArgumentException.class, () -> Tensor.ofLongs(new long[] {-1, -1}, 1));
        refused(
                IllegalArgumentException.class,
                () -> Tensor.ofInt8s(new long[] {1L << 32, 1L << 32}));
        refused(
                IllegalArgumentException.class,
                () -> Tensor.ofInt8s(new long[] {Long.MAX_VALUE, 2}));
    }

    private void types() {
        long[] one = {1};
        same(7, Tensor.ofInt8s(one, (byte) 7).toInts()[0]);
        same(7L, Tensor.ofInts(one, 7).toLongs()[0]);
        byte[] half = {(byte) 0xc0, (byte) 0xbf};
        same(-1.5f, Tensor.of(DataType.BF16, one, half).toFloats()[0]);
        same(0.5, Tensor.ofHalfFloats(one, 0.5f).toDoubles()[0]);
        String text = refused(IllegalStateException.class, () -> Tensor.ofLongs(one, 7).toFloats());
        same("the tensor is INT64 [1], not FP32 or FP16 or BF16: use toLongs()", text);
        refused(IllegalStateException.class, () -> Tensor.ofLongs(one, 7).toInts());
        refused(IllegalStateException.class, () -> Tensor.ofUint64s(one, 7).toLongs());
        refused(IllegalStateException.class, () -> Tensor.ofDoubles(one, 7).toFloats());
        refused(IllegalStateException.class, () -> Tensor.ofFloats(one, 7).toStrings());
    }

    private void unsigned() {
        long[] one = {1};
        same(200, Tensor.ofUint8s(one, (byte) 200).toInts()[0]);
        same(65535, Tensor.ofUint16s(one, 65535).toInts()[0]);
        same(4294967295L, Tensor.ofUint32s(one, 4294967295L).toLongs()[0]);
        long most = Long.parseUnsignedLong("18446744073709551615");
        same(most, Tensor.ofUint64s(one, most).toUint64s()[0]);
        refused(IllegalArgumentException.class, () -> Tensor.ofUint16s(one, 65536));
        refused(IllegalArgumentException.class, () -> Tensor.ofUint32s(one, -1));
    }

    private void strings() {
        Tensor texts = Tensor.ofStrings(new long[] {3}, "", "飞桨", "a\0b");
        same(List.of("", "飞桨", "a\0b"), texts.toStrings());
        Tensor bytes = Tensor.ofByteStrings(new long[] {1}, new byte[] {(byte) 0xff});
        same(1, bytes.toByteStrings().get(0).length);
        refused(IllegalStateException.class, bytes::toStrings);
    }

    private void raw() {
        long[] two = {2};
        same(256, Tensor.of(DataType.INT16, two, new byte[] {0, 1, 0, 0}).toInts()[0]);
        refused(IllegalArgumentException.class, () -> Tensor.of(DataType.INT16, two, new byte[3]));
        byte[][] damaged = {
            {1, 0, 0, 0, 65}, {1, 0, 0, 0, 65, 1, 0}, {1, 0, 0, 0, 65, 9, 0, 0, 0, 65},
            {1, 0, 0, 0, 65, -1, -1, -1, -1}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {},
        };
        for (byte[] each : damaged) {
            refused(IllegalArgumentException.class, () -> Tensor.of(DataType.BYTES, two, each));
        }
    }

    private void offsets() {
        Tensor rows = Tensor.ofLongs(new long[] {3, 1}, 1, 2, 3);
        same("[0, 1, 3]", Arrays.toString(rows.withLod(0, 1, 3).lod().orElseThrow()));
        long[][] impossible = {{}, {0}, {1, 3}, {0, 2}, {0, 2, 2, 3}, {0, 4}, {0, 3, 2}};
        for (long[] wrong : impossible) {
            refused(IllegalArgumentException.class, () -> rows.withLod(wrong));
        }
    }

    private void equality() {
        Tensor one = Tensor.ofFloats(new long[] {2}, 1, Float.NaN);
        same(one, Tensor.ofFloats(new long[] {2}, 1, Float.NaN));
        same(one.hashCode(), Tensor.ofFloats(new long[] {2}, 1, Float.NaN).hashCode());
        List<Tensor> others =
                List.of(
                        Tensor.ofFloats(new long[] {2, 1}, 1, Float.NaN),
                        Tensor.ofFloats(new long[] {2}, 1, 2),
                        one.withLod(0, 2));
        others.forEach(other -> same(false, one.equals(other)));
    }

    private void missing() {
        Json json = Json.parse("{\"a\": 1, \"b\": null}");
        String text = refused(NoSuchElementException.class, () -> json.get("c"));
        same("no field \"c\"; there are [a, b]", text);
        same(false, json.find("b").isPresent());
        refused(IllegalStateException.class, () -> json.get("a").asString());
        InferResult result =
                new InferResult("m", null, null, Map.of("y", Tensor.ofInts(new long[] {1}, 1)));
        text = refused(NoSuchElementException.class, () -> result.output("z"));
        same("no output \"z\"; there are [y]", text);
        same(1, result.output().count());
    }

    private void json() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("a", List.of(1, 2.5, true, "x\"\\\n\u0001é😀\ud800"));
        fields.put("b", null);
        fields.put("c", new int[] {1, 2});
        same(
                "{\"a\":[1,2.5,true,\"x\\\"\\\\\\u000a\\u0001é😀\\ud800\"],\"b\":null,\"c\":[1,2]}",
                Json.of(fields).toString());
        refused(IllegalArgumentException.class, () -> Json.of(Double.NaN));
        refused(IllegalArgumentException.class, () -> Json.of(Float.POSITIVE_INFINITY));
        refused(IllegalArgumentException.class, () -> Json.of(new Object()));
        same(Json.parse("{\"a\":1,\"b\":[]}"), Json.parse(" { \"b\" : [ ] , \"a\" : 1 } "));
        String deep = "[".repeat(101) + "]".repeat(101);
        same(1, Json.parse(deep.substring(1, 201)).size());
        refused(IllegalArgumentException.class, () -> Json.parse("[" + deep + "]"));
        refused(IllegalArgumentException.class, () -> Json.parse("[".repeat(1_000_000)));
    }

    private void numbers() {
        same(9223372036854775807L, Json.parse("9223372036854775807").asLong());
        refused(ArithmeticException.class, () -> Json.parse("9223372036854775808").asLong());
        refused(ArithmeticException.class, () -> Json.parse("1.0").asLong());
        refused(ArithmeticException.class, () -> Json.parse("1e999999999").asLong());
        refused(ArithmeticException.class, () -> Json.parse("2147483648").asInt());
        same(Double.POSITIVE_INFINITY, Json.parse("1e999999999").asDouble());
    }

    private void quoting() {
        same("wide%26deep", Endpoint.quote("wide&deep"));
        same("a%2Fb%3Fc%23%25%20%E9%A3%9E-._~", Endpoint.quote("a/b?c#% 飞-._~"));
        same(
                "http://h:1/p/v2/models/a%2Fb?top=3",
                new Endpoint("http://h:1/p/").resolve("top=3", "v2", "models", "a/b").toString());
        for (String wrong : List.of("", ".", "..")) {
            refused(IllegalArgumentException.class, () -> Endpoint.quote(wrong));
        }
    }

    private void addresses() {
        List<String> wrong =
                List.of(
                        "127.0.0.1:1", "ftp://h", "http://", "http://h/?q", "http://u:p@h", "a");
        for (String url : wrong) {
            refused(IllegalArgumentException.class, () -> PaddlesrvClient.of(url));
        }
    }

    private void delays() {
        RetryPolicy policy = RetryPolicy.of(9, Duration.ofMillis(100), Duration.ofSeconds(5));
        for (int attempt = 1; attempt < 200; attempt++) {
            long most = attempt < 7 ? 100L << attempt - 1 : 5000;
            for (int i = 0; i < 50; i++) {
                long delay = policy.delay(attempt).toMillis();
                same(true, delay >= 0 && delay <= most);
            }
        }
        Duration endless = Duration.ofDays(200 * 365);
        same(false, RetryPolicy.of(9, endless, endless).delay(70).isNegative());
        same(true, RetryPolicy.of(9, Duration.ZERO, Duration.ZERO).delay(70).isZero());
    }

    private void settings() {
        ClientBuilder builder = PaddlesrvClient.builder("http://h");
        refused(IllegalArgumentException.class, () -> builder.timeout(Duration.ZERO));
        refused(
                IllegalArgumentException.class, () -> builder.connectTimeout(Duration.ofMillis(-1)));
        refused(IllegalArgumentException.class, () -> builder.maxAnswerBytes(0));
        refused(IllegalArgumentException.class, () -> builder.header("X-Key", "a\r\nb: c"));
        refused(IllegalArgumentException.class, () -> builder.header("Host", "other"));
        refused(IllegalArgumentException.class, () -> RetryPolicy.ofAttempts(0));
        refused(IllegalArgumentException.class, () -> InferRequest.builder("m").build());
        refused(IllegalArgumentException.class, () -> PredictRequest.builder("m").build());
        builder.timeout(java.time.temporal.ChronoUnit.FOREVER.getDuration()).build().close();
    }

    private void closed() {
        PaddlesrvClient client = PaddlesrvClient.of("http://127.0.0.1:9");
        client.close();
        client.close();
        refused(IllegalStateException.class, client::serverMetadata);
    }

    private void secrets() {
        try (PaddlesrvClient client =
                PaddlesrvClient.builder("http://h").bearerToken("hidden").build()) {
            same("PaddlesrvClient[http://h]", client.toString());
        }
    }

    private void damage() {
        String json =
                ("{'model_name':'m','outputs':[{'name':'y','datatype':'FP32','shape':[1,2],"
                                + "'parameters':{'binary_data_size':8}},{'name':'s','datatype':"
                                + "'BYTES','shape':[2],'parameters':{'binary_data_size':9}},{'name'"
                                + ":'z','datatype':'INT16','shape':[2,1],'data':[[1],[-2]]}]}")
                        .replace('\'', '"');
        byte[] header = json.getBytes(StandardCharsets.UTF_8);
        byte[] whole = Arrays.copyOf(header, header.length + 17);
        whole[header.length + 8] = 1;
        Tensor input = Tensor.ofInts(new long[0], 1);
        InferRequest request = InferRequest.builder("m").input("x", input).build();
        same(3, decoded(whole, header.length, request).outputs().size());
        String likely = "0123456789[]{}\",:-e.\\";
        Random random = new Random(13);
        int refused = 0;
        for (int i = 0; i < DAMAGED; i++) {
            int cut = random.nextInt(4) == 0 ? random.nextInt(99) : 0;
            byte[] damaged = Arrays.copyOf(whole, whole.length - cut);
            for (int n = random.nextInt(4); n >= 0; n--) {
                char guess = likely.charAt(random.nextInt(likely.length()));
                int octet = random.nextBoolean() ? guess : random.nextInt(256);
                damaged[random.nextInt(damaged.length)] = (byte) octet;
            }
            int length = random.nextInt(8) == 0 ? random.nextInt(whole.length) : header.length;
            try {
                decoded(damaged, length, request).outputs().values().forEach(Tensor::toString);
            } catch (RuntimeException error) {
                refused++; // an Error is none
            }
        }
        same(true, refused > DAMAGED / 2 && refused < DAMAGED);
    }

    private static InferResult decoded(byte[] body, int length, InferRequest request) {
        Map<String, List<String>> headers =
                Map.of(InferenceCodec.HEADER_LENGTH, List.of(Integer.toString(length)));
        Answer answer = new Answer(200, HttpHeaders.of(headers, (name, value) -> true), body, "id");
        return InferenceCodec.decode(answer, request);
    }

    private static void same(Object wanted, Object found) {
        if (!wanted.equals(found)) {
            throw new AssertionError("wanted " + wanted + ", found " + found);
        }
    }

    /** The message with which it is refused. */
    private static String refused(Class<? extends RuntimeException> kind, Check what) {
        try {
            what.run();
        } catch (RuntimeException error) {
            if (kind.isInstance(error)) {
                return error.getMessage();
            }
            throw new AssertionError("wanted " + kind.getSimpleName() + ", found " + error, error);
        }
        throw new AssertionError("wanted " + kind.getSimpleName() + ", but nothing was refused");
    }
}
