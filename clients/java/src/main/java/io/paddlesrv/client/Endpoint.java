package io.paddlesrv.client;

import java.net.URI;
import java.nio.charset.StandardCharsets;

/** A server's address, and the addresses of what is on it. */
final class Endpoint {
    private static final String HEXADECIMAL = "0123456789ABCDEF";

    private final String base;

    Endpoint(String url) {
        URI uri = URI.create(url);
        boolean http = "http".equalsIgnoreCase(uri.getScheme()) || isHttps(uri);
        if (!http || uri.getHost() == null) {
            throw new IllegalArgumentException(
                    "not a server's address: " + url + "; it looks like http://127.0.0.1:9393");
        }
        if (uri.getRawQuery() != null
                || uri.getRawFragment() != null
                || uri.getRawUserInfo() != null) {
            throw new IllegalArgumentException(
                    "a server's address has no query, no fragment and no user");
        }
        base = url.replaceAll("/+$", "");
    }

    /** The address below the server's, of names that may hold anything. */
    URI resolve(String query, String... names) {
        StringBuilder address = new StringBuilder(base);
        for (String name : names) {
            address.append('/').append(quote(name));
        }
        if (!query.isEmpty()) {
            address.append('?').append(query);
        }
        return URI.create(address.toString());
    }

    @Override
    public String toString() {
        return base;
    }

    /** A name as one segment of a path: all but letters, digits and {@code -._~} as %XX. */
    static String quote(String name) {
        if (name.isEmpty() || name.equals(".") || name.equals("..")) {
            throw new IllegalArgumentException("no model can be named \"" + name + "\"");
        }
        StringBuilder quoted = new StringBuilder();
        for (byte octet : name.getBytes(StandardCharsets.UTF_8)) {
            char letter = (char) (octet & 0xff);
            boolean plain =
                    letter >= 'a' && letter <= 'z'
                            || letter >= 'A' && letter <= 'Z'
                            || letter >= '0' && letter <= '9'
                            || "-._~".indexOf(letter) >= 0;
            if (plain) {
                quoted.append(letter);
            } else {
                quoted.append('%').append(HEXADECIMAL.charAt(letter >> 4));
                quoted.append(HEXADECIMAL.charAt(letter & 15));
            }
        }
        return quoted.toString();
    }

    private static boolean isHttps(URI uri) {
        return "https".equalsIgnoreCase(uri.getScheme());
    }
}
