/**
 * Asks a paddlesrv server: tensors in and tensors out, or pictures and texts in and labels, boxes
 * and words out.
 *
 * <p>{@link io.paddlesrv.client.PaddlesrvClient} is where to begin. Tensors travel by the Open
 * Inference Protocol with its binary extension, which other servers speak too; tasks
 * ({@code predict} and {@code draw}) are paddlesrv's own.
 */
package io.paddlesrv.client;
