package io.paddlesrv.client;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON as RFC 8259 has it, and nothing else; what it reads may come from anywhere. */
final class JsonReader {
    /** More than any answer has; bounds the stack. */
    static final int MAX_DEPTH = 100;

    private final String text;
    private int position;

    JsonReader(String text) {
        this.text = text;
    }

    static Json parse(byte[] bytes, int offset, int length) {
        try {
            return new JsonReader(Texts.strict(ByteBuffer.wrap(bytes, offset, length))).read();
        } catch (CharacterCodingException error) {
            throw new IllegalArgumentException("not JSON: it is not UTF-8", error);
        }
    }

    Json read() {
        Json value = value(0);
        skipSpace();
        if (position < text.length()) {
            throw wrong("something follows the value");
        }
        return value;
    }

    private Json value(int depth) {
        if (depth > MAX_DEPTH) {
            throw wrong("nested more than " + MAX_DEPTH + " levels deep");
        }
        skipSpace();
        char first = peek();
        switch (first) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return Json.of(string());
            case 't':
                return word("true", Json.TRUE);
            case 'f':
                return word("false", Json.FALSE);
            case 'n':
                return word("null", Json.NULL);
            default:
                return number();
        }
    }

    private Json object(int depth) {
        Map<String, Json> fields = new LinkedHashMap<>();
        position++;
        skipSpace();
        if (take('}')) {
            return Json.ofFields(fields);
        }
        do {
            skipSpace();
            if (peek() != '"') {
                throw wrong("a field's name is missing");
            }
            String name = string();
            skipSpace();
            need(':');
            if (fields.put(name, value(depth + 1)) != null) {
                throw wrong("field \"" + name + "\" comes twice");
            }
            skipSpace();
        } while (take(','));
        need('}');
        return Json.ofFields(fields);
    }

    private Json array(int depth) {
        List<Json> items = new ArrayList<>();
        position++;
        skipSpace();
        if (take(']')) {
            return Json.ofItems(items);
        }
        do {
            items.add(value(depth + 1));
            skipSpace();
        } while (take(','));
        need(']');
        return Json.ofItems(items);
    }

    private String string() {
        int start = ++position;
        while (peek() != '"' && peek() != '\\' && peek() >= ' ') {
            position++;
        }
        if (peek() == '"') { // as most are: nothing to undo
            return checked(text.substring(start, position++));
        }
        StringBuilder characters = new StringBuilder(text.substring(start, position));
        while (!take('"')) {
            char next = peek();
            if (next < ' ') {
                throw wrong("a control character in a text");
            }
            position++;
            characters.append(next == '\\' ? escaped() : next);
        }
        return checked(characters.toString());
    }

    private char escaped() {
        char letter = peek();
        position++;
        switch (letter) {
            case '"':
            case '\\':
            case '/':
                return letter;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                return hexadecimal();
            default:
                throw wrong("an unknown escape \\" + letter);
        }
    }

    private char hexadecimal() {
        int code = 0;
        for (int i = 0; i < 4; i++) {
            char letter = peek();
            int digit = letter < 128 ? Character.digit(letter, 16) : -1;
            if (digit < 0) {
                throw wrong("\\u needs four hexadecimal digits");
            }
            code = code << 4 | digit;
            position++;
        }
        return (char) code;
    }

    /** No half of a character that takes two. */
    private String checked(String string) {
        for (int i = 0; i < string.length(); i++) {
            if (Character.isHighSurrogate(string.charAt(i))
                    && i + 1 < string.length()
                    && Character.isLowSurrogate(string.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(string.charAt(i))) {
                throw wrong("half a surrogate pair in a text");
            }
        }
        return string;
    }

    private Json number() {
        int start = position;
        take('-');
        if (!take('0')) {
            digits();
        }
        if (take('.')) {
            digits();
        }
        if (take('e') || take('E')) {
            if (!take('+')) {
                take('-');
            }
            digits();
        }
        return Json.ofDigits(text.substring(start, position));
    }

    private void digits() {
        int start = position;
        while (position < text.length() && isDigit(text.charAt(position))) {
            position++;
        }
        if (position == start) {
            throw wrong("a value or a digit is missing");
        }
    }

    private static boolean isDigit(char letter) {
        return letter >= '0' && letter <= '9';
    }

    private Json word(String word, Json value) {
        if (!text.startsWith(word, position)) {
            throw wrong("an unknown word");
        }
        position += word.length();
        return value;
    }

    private void skipSpace() {
        while (position < text.length() && " \t\r\n".indexOf(text.charAt(position)) >= 0) {
            position++;
        }
    }

    private char peek() {
        if (position >= text.length()) {
            throw wrong("it ends too early");
        }
        return text.charAt(position);
    }

    private boolean take(char wanted) {
        boolean there = position < text.length() && text.charAt(position) == wanted;
        if (there) {
            position++;
        }
        return there;
    }

    private void need(char wanted) {
        if (!take(wanted)) {
            throw wrong("'" + wanted + "' is missing");
        }
    }

    private IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException(
                "not JSON: " + what + " (at character " + position + ")");
    }
}
