/** The engine around a decoder: what a provider of a base model opens. */
@NullMarked
package dev.lorikeet.host;

import org.jspecify.annotations.NullMarked;
