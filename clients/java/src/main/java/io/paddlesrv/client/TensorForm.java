package io.paddlesrv.client;

/** How tensors travel; answers are read in both forms, whatever was asked for. */
public enum TensorForm {
    /** As bytes behind the JSON: exact, small, fast. */
    BINARY,
    /**
     * As numbers in the JSON, for servers without the binary extension. What JSON cannot carry
     * (numbers of 16 bits or not finite, bytes that are no text) goes as bytes all the same.
     */
    JSON
}
