/** Tests of safetensors files. */
@NullMarked
package dev.lorikeet.files.safetensors;

import org.jspecify.annotations.NullMarked;
