package io.paddlesrv.client;

import java.util.List;

/** What a server says of itself; immutable. */
public final class ServerMetadata {
    private final String name;
    private final String version;
    private final List<String> extensions;

    ServerMetadata(Json json) {
        name = json.get("name").asString();
        version = json.get("version").asString();
        extensions = Metadata.strings(json, "extensions");
    }

    /**
     * The server's name.
     *
     * @return such as {@code "paddlesrv"}
     */
    public String name() {
        return name;
    }

    /**
     * The server's version.
     *
     * @return the version
     */
    public String version() {
        return version;
    }

    /**
     * What it does beyond the Open Inference Protocol.
     *
     * @return such as {@code "binary_tensor_data"}
     */
    public List<String> extensions() {
        return extensions;
    }

    /** Name and version. */
    @Override
    public String toString() {
        return name + " " + version;
    }
}
