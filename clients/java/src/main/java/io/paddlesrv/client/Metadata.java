package io.paddlesrv.client;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Reading of what a server says of itself and its models. */
final class Metadata {
    private Metadata() {}

    /** The items of a field; none if it is not there. */
    static Stream<Json> list(Json json, String name) {
        return json.find(name).map(Json::items).orElse(List.of()).stream();
    }

    static List<String> strings(Json json, String name) {
        return list(json, name).map(Json::asString).collect(Collectors.toUnmodifiableList());
    }

    /** A text as it is, anything else as JSON. */
    static String text(Json value) {
        return value.kind() == Json.Kind.STRING ? value.asString() : value.toString();
    }
}
