/** Base models through Jlama's formats, with a batched decoder of our own. */
@NullMarked
package dev.lorikeet.jlama;

import org.jspecify.annotations.NullMarked;
