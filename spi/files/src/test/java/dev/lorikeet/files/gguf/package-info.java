@NullMarked
package dev.lorikeet.files.gguf;

import org.jspecify.annotations.NullMarked;
