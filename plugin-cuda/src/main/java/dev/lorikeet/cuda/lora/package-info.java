/**
 * LoRA on an NVIDIA GPU: the executor and its provider, how a batch is cut into tiles, and the
 * kernels with what launches them. Stands on {@code memory} and {@code driver}.
 */
@NullMarked
package dev.lorikeet.cuda.lora;

import org.jspecify.annotations.NullMarked;
