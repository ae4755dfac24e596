/** Tests of the template language. */
@NullMarked
package dev.lorikeet.text.jinja;

import org.jspecify.annotations.NullMarked;
