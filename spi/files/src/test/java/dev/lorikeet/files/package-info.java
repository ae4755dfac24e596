/** Tests of how files are read and written. */
@NullMarked
package dev.lorikeet.files;

import org.jspecify.annotations.NullMarked;
