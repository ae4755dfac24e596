@NullMarked
package dev.lorikeet.jlama.quantize;

import org.jspecify.annotations.NullMarked;
