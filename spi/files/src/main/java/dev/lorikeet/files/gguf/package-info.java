/** GGUF files: models, their tokenizers' metadata, and LoRA adapters. */
@NullMarked
package dev.lorikeet.files.gguf;

import org.jspecify.annotations.NullMarked;
