/** Models in Jlama's quantized form, made by Jlama's own quantizer. */
@NullMarked
package dev.lorikeet.jlama.quantize;

import org.jspecify.annotations.NullMarked;
