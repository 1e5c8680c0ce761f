package io.paddlesrv.client;

import java.util.Arrays;

/** What a model says of one of its tensors; immutable. */
public final class TensorMetadata {
    private final String name;
    private final String datatype;
    private final long[] shape;

    TensorMetadata(Json json) {
        name = json.get("name").asString();
        datatype = json.get("datatype").asString();
        shape = json.get("shape").items().stream().mapToLong(Json::asLong).toArray();
    }

    /**
     * The tensor's name.
     *
     * @return the name
     */
    public String name() {
        return name;
    }

    /**
     * The type of its elements.
     *
     * @return such as {@code "FP32"}; a server may know more types than {@link DataType}
     */
    public String datatype() {
        return datatype;
    }

    /**
     * Its dimensions.
     *
     * @return a copy; -1 stands for any
     */
    public long[] shape() {
        return shape.clone();
    }

    /** Name, type and shape. */
    @Override
    public String toString() {
        return name + " " + datatype + " " + Arrays.toString(shape);
    }
}
