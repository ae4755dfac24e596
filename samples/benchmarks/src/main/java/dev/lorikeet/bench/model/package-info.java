/** Models and adapters with random weights, as Hugging Face directories and as GGUF files. */
@NullMarked
package dev.lorikeet.bench.model;

import org.jspecify.annotations.NullMarked;
