package io.paddlesrv.client;

import java.math.BigDecimal;
import java.util.Iterator;
import java.util.Map;

/** Writes JSON, in one line and without spaces. */
final class JsonWriter {
    private static final int EXCERPT = 80;
    private static final String HEXADECIMAL = "0123456789abcdef";

    private JsonWriter() {}

    static void write(StringBuilder text, Json value) {
        switch (value.kind()) {
            case OBJECT:
                text.append('{');
                Iterator<Map.Entry<String, Json>> fields = value.fields().entrySet().iterator();
                while (fields.hasNext()) {
                    Map.Entry<String, Json> field = fields.next();
                    quote(text, field.getKey());
                    text.append(':');
                    write(text, field.getValue());
                    text.append(fields.hasNext() ? "," : "");
                }
                text.append('}');
                break;
            case ARRAY:
                text.append('[');
                Iterator<Json> items = value.items().iterator();
                while (items.hasNext()) {
                    write(text, items.next());
                    text.append(items.hasNext() ? "," : "");
                }
                text.append(']');
                break;
            case STRING:
                quote(text, value.asString());
                break;
            case NUMBER:
                text.append(value.digits());
                break;
            case BOOLEAN:
                text.append(value.asBoolean());
                break;
            default:
                text.append("null");
        }
    }

    /** A text in quotes; half a surrogate pair, which UTF-8 cannot carry, goes as an escape. */
    static void quote(StringBuilder text, String characters) {
        text.append('"');
        for (int i = 0; i < characters.length(); i++) {
            char letter = characters.charAt(i);
            if (letter == '"' || letter == '\\') {
                text.append('\\').append(letter);
            } else if (letter < ' ' || Character.isSurrogate(letter) && !paired(characters, i)) {
                text.append("\\u");
                for (int shift = 12; shift >= 0; shift -= 4) {
                    text.append(HEXADECIMAL.charAt(letter >> shift & 15));
                }
            } else {
                text.append(letter);
            }
        }
        text.append('"');
    }

    /** A number's digits, as JSON has them. */
    static String digits(Number number) {
        if (number instanceof Float) {
            return digits(number.doubleValue()); // exactly that number, whatever reads it
        }
        if (number instanceof Double) {
            return digits(number.doubleValue());
        }
        if (number instanceof BigDecimal) {
            return number.toString();
        }
        String text = number.toString(); // whole numbers of any size
        if (!text.matches("-?[0-9]+")) {
            throw new IllegalArgumentException(
                    "JSON has no form for " + number.getClass().getName() + " " + text);
        }
        return text;
    }

    static String digits(double number) {
        if (!Double.isFinite(number)) {
            throw new IllegalArgumentException("JSON has no form for " + number);
        }
        return Double.toString(number);
    }

    static String excerpt(Json value) {
        String text = value.toString();
        return text.length() <= EXCERPT ? text : text.substring(0, EXCERPT) + "...";
    }

    private static boolean paired(String characters, int i) {
        if (Character.isHighSurrogate(characters.charAt(i))) {
            return i + 1 < characters.length()
                    && Character.isLowSurrogate(characters.charAt(i + 1));
        }
        return i > 0 && Character.isHighSurrogate(characters.charAt(i - 1));
    }
}
