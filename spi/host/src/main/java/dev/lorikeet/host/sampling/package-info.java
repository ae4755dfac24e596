/** From logits to tokens, and from tokens to the end of a text. */
@NullMarked
package dev.lorikeet.host.sampling;

import org.jspecify.annotations.NullMarked;
