package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/** Text that came as bytes: strictly, or as much of it as can be shown. */
final class Texts {
    private Texts() {}

    /** UTF-8, and nothing that only looks like it. */
    static String strict(ByteBuffer bytes) throws CharacterCodingException {
        return StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT)
                .decode(bytes)
                .toString();
    }

    /** The start of a text in one line, whatever it holds. */
    static String excerpt(byte[] bytes, int characters) {
        int length = Math.min(bytes.length, 4 * characters);
        String text = new String(bytes, 0, length, StandardCharsets.UTF_8);
        String line = text.replaceAll("[\\p{Cntrl}\\s]+", " ").strip();
        return line.length() <= characters ? line : line.substring(0, characters) + "...";
    }
}
