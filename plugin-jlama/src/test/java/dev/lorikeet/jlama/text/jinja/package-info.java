/** Tests of the template language. */
@NullMarked
package dev.lorikeet.jlama.text.jinja;

import org.jspecify.annotations.NullMarked;
