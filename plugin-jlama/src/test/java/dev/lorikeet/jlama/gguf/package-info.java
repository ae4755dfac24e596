@NullMarked
package dev.lorikeet.jlama.gguf;

import org.jspecify.annotations.NullMarked;
