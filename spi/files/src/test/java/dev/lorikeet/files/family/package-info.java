/** Tests. */
@NullMarked
package dev.lorikeet.files.family;

import org.jspecify.annotations.NullMarked;
