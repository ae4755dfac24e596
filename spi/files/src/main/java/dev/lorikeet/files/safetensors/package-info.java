/** Safetensors files, checked before a byte of data is looked at, and mapped without copies. */
@NullMarked
package dev.lorikeet.files.safetensors;

import org.jspecify.annotations.NullMarked;
