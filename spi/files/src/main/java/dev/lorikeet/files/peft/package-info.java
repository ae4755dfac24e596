/** PEFT's adapter directories: read as hostile, written so that PEFT loads them. */
@NullMarked
package dev.lorikeet.files.peft;

import org.jspecify.annotations.NullMarked;
