/** Tests of PEFT's format. */
@NullMarked
package dev.lorikeet.files.peft;

import org.jspecify.annotations.NullMarked;
