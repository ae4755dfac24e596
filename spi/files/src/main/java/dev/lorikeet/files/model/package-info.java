/** Hugging Face model directories: configuration, rotary frequencies, and where the weights are. */
@NullMarked
package dev.lorikeet.files.model;

import org.jspecify.annotations.NullMarked;
