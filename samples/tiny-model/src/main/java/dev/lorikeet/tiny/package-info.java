/** A small model with four LoRA adapters and reference outputs, as files. */
@NullMarked
package dev.lorikeet.tiny;

import org.jspecify.annotations.NullMarked;
