package io.paddlesrv.client;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Optional;

/**
 * A value of JSON, with all that is in it; immutable.
 *
 * <pre>{@code
 * Json best = prediction.result().get("classes").at(0);
 * System.out.println(best.get("label").asString() + " " + best.get("score").asDouble());
 * }</pre>
 *
 * <p>Numbers keep the digits that they came with, so that a 64-bit integer loses nothing.
 */
public final class Json {
    /** What a value is. */
    public enum Kind {
        /** Named values. */
        OBJECT,
        /** Values in an order. */
        ARRAY,
        /** A text. */
        STRING,
        /** A number. */
        NUMBER,
        /** True or false. */
        BOOLEAN,
        /** No value. */
        NULL
    }

    static final Json NULL = new Json(Kind.NULL, "null");
    static final Json TRUE = new Json(Kind.BOOLEAN, Boolean.TRUE);
    static final Json FALSE = new Json(Kind.BOOLEAN, Boolean.FALSE);

    private final Kind kind;
    /** A Map, a List, a String, a number's digits as a String, or a Boolean. */
    private final Object value;

    private Json(Kind kind, Object value) {
        this.kind = kind;
        this.value = value;
    }

    static Json ofFields(Map<String, Json> fields) {
        return new Json(Kind.OBJECT, Collections.unmodifiableMap(fields));
    }

    static Json ofItems(List<Json> items) {
        return new Json(Kind.ARRAY, Collections.unmodifiableList(items));
    }

    static Json ofDigits(String digits) {
        return new Json(Kind.NUMBER, digits);
    }

    /**
     * Reads a text.
     *
     * @param text one JSON value
     * @return the value
     * @throws IllegalArgumentException if it is not JSON (RFC 8259), names a field twice or is
     *     nested more than 100 levels deep; the message says where
     */
    public static Json parse(String text) {
        return new JsonReader(text).read();
    }

    /**
     * Reads UTF-8.
     *
     * @param utf8 one JSON value
     * @return the value
     * @throws IllegalArgumentException as {@link #parse(String)}, or if it is not UTF-8
     */
    public static Json parse(byte[] utf8) {
        return JsonReader.parse(utf8, 0, utf8.length);
    }

    /**
     * A value made of Java's own.
     *
     * @param value a {@link Map} with names as keys, a {@link Collection}, an array of numbers, a
     *     text, a number, a boolean, a {@code Json} or null
     * @return the same as JSON
     * @throws IllegalArgumentException if there is something else in it, or a number that is not
     *     finite
     */
    public static Json of(Object value) {
        if (value == null) {
            return NULL;
        }
        if (value instanceof Json) {
            return (Json) value;
        }
        if (value instanceof CharSequence) {
            return new Json(Kind.STRING, value.toString());
        }
        if (value instanceof Boolean) {
            return (Boolean) value ? TRUE : FALSE;
        }
        if (value instanceof Number) {
            return ofDigits(JsonWriter.digits((Number) value));
        }
        if (value instanceof Map) {
            Map<String, Json> fields = new LinkedHashMap<>();
            ((Map<?, ?>) value).forEach((name, item) -> fields.put(String.valueOf(name), of(item)));
            return ofFields(fields);
        }
        List<Json> items = new ArrayList<>();
        if (value instanceof Collection) {
            ((Collection<?>) value).forEach(item -> items.add(of(item)));
        } else if (value.getClass().isArray()) {
            int length = java.lang.reflect.Array.getLength(value);
            for (int i = 0; i < length; i++) {
                items.add(of(java.lang.reflect.Array.get(value, i)));
            }
        } else {
            throw new IllegalArgumentException(
                    "JSON has no form for " + value.getClass().getName());
        }
        return ofItems(items);
    }

    /**
     * What this is.
     *
     * @return its kind
     */
    public Kind kind() {
        return kind;
    }

    /**
     * Whether this is JSON's null.
     *
     * @return true for null
     */
    public boolean isNull() {
        return kind == Kind.NULL;
    }

    /**
     * A field that must be there.
     *
     * @param name its name
     * @return its value
     * @throws NoSuchElementException if there is no such field; the message lists those there are
     * @throws IllegalStateException if this is no object
     */
    public Json get(String name) {
        Json field = fields().get(name);
        if (field == null) {
            throw new NoSuchElementException(
                    "no field \"" + name + "\"; there are " + fields().keySet());
        }
        return field;
    }

    /**
     * A field that may be there.
     *
     * @param name its name
     * @return its value; empty if there is none, if it is null, or if this is no object
     */
    public Optional<Json> find(String name) {
        if (kind != Kind.OBJECT) {
            return Optional.empty();
        }
        return Optional.ofNullable(fields().get(name)).filter(field -> !field.isNull());
    }

    /**
     * An item of an array.
     *
     * @param index counted from 0
     * @return the item
     * @throws IndexOutOfBoundsException if there are not so many
     * @throws IllegalStateException if this is no array
     */
    public Json at(int index) {
        return items().get(index);
    }

    /**
     * How many fields or items there are.
     *
     * @return their number
     * @throws IllegalStateException if this is neither an object nor an array
     */
    public int size() {
        return kind == Kind.OBJECT ? fields().size() : items().size();
    }

    /**
     * The fields of an object, in their order.
     *
     * @return a map that cannot be changed
     * @throws IllegalStateException if this is no object
     */
    @SuppressWarnings("unchecked")
    public Map<String, Json> fields() {
        return (Map<String, Json>) need(Kind.OBJECT);
    }

    /**
     * The items of an array.
     *
     * @return a list that cannot be changed
     * @throws IllegalStateException if this is no array
     */
    @SuppressWarnings("unchecked")
    public List<Json> items() {
        return (List<Json>) need(Kind.ARRAY);
    }

    /**
     * A text.
     *
     * @return its characters
     * @throws IllegalStateException if this is no text
     */
    public String asString() {
        return (String) need(Kind.STRING);
    }

    /**
     * A truth value.
     *
     * @return true or false
     * @throws IllegalStateException if this is neither
     */
    public boolean asBoolean() {
        return (Boolean) need(Kind.BOOLEAN);
    }

    /**
     * A number.
     *
     * @return the nearest double; infinite beyond its range
     * @throws IllegalStateException if this is no number
     */
    public double asDouble() {
        return Double.parseDouble(digits());
    }

    /**
     * A whole number.
     *
     * @return exactly that number
     * @throws IllegalStateException if this is no number
     * @throws ArithmeticException if it has a fraction or an exponent, or is out of range
     */
    public long asLong() {
        try {
            return Long.parseLong(digits());
        } catch (NumberFormatException error) {
            throw new ArithmeticException(digits() + " is not a long");
        }
    }

    /**
     * A whole number.
     *
     * @return exactly that number
     * @throws IllegalStateException if this is no number
     * @throws ArithmeticException if it has a fraction or an exponent, or is out of range
     */
    public int asInt() {
        return Math.toIntExact(asLong());
    }

    /**
     * An array of numbers.
     *
     * @return all of them
     * @throws IllegalStateException if this is no array, or something in it is no number
     */
    public double[] asDoubles() {
        return items().stream().mapToDouble(Json::asDouble).toArray();
    }

    /** A number as it was written. */
    String digits() {
        return (String) need(Kind.NUMBER);
    }

    /** The value as JSON in one line. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        JsonWriter.write(text, this);
        return text.toString();
    }

    /** Whether the other has the same fields, items or digits; the order of fields is nothing. */
    @Override
    public boolean equals(Object other) {
        return other instanceof Json
                && ((Json) other).kind == kind
                && ((Json) other).value.equals(value);
    }

    @Override
    public int hashCode() {
        return Objects.hash(kind, value);
    }

    private Object need(Kind wanted) {
        if (kind != wanted) {
            throw new IllegalStateException(
                    "this is " + kind + ", not " + wanted + ": " + JsonWriter.excerpt(this));
        }
        return value;
    }
}
