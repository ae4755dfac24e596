/** Trained gates that route tokens to adapters, as files. */
@NullMarked
package dev.lorikeet.files.gate;

import org.jspecify.annotations.NullMarked;
