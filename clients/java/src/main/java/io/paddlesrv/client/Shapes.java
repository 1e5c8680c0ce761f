package io.paddlesrv.client;

import java.util.Arrays;

/** How many elements a shape has, if it is one. */
final class Shapes {
    private Shapes() {}

    /**
     * The number of elements.
     *
     * @throws IllegalArgumentException if a dimension is negative, or there are more elements than
     *     a Java array holds
     */
    static int elements(long[] shape) {
        long count = 1;
        for (long dimension : shape) {
            if (dimension < 0) {
                throw new IllegalArgumentException(
                        "shape " + Arrays.toString(shape) + " has a negative dimension");
            }
            // Kept small enough for one more multiplication by less than 2^31.
            count = dimension == 0 || count == 0 ? 0 : capped(count, dimension);
            if (count > Integer.MAX_VALUE) {
                throw new IllegalArgumentException(
                        "shape " + Arrays.toString(shape) + " has too many elements");
            }
        }
        return (int) count;
    }

    /** Refuses a shape that has not that many elements. */
    static void check(long[] shape, int values) {
        if (elements(shape) != values) {
            throw new IllegalArgumentException(
                    "shape "
                            + Arrays.toString(shape)
                            + " has "
                            + elements(shape)
                            + " elements, but "
                            + values
                            + " were given");
        }
    }

    private static long capped(long count, long dimension) {
        return dimension > Integer.MAX_VALUE ? dimension : count * dimension;
    }
}
