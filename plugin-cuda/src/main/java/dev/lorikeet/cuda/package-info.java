/** The LoRA executor for NVIDIA GPUs. */
@NullMarked
package dev.lorikeet.cuda;

import org.jspecify.annotations.NullMarked;
