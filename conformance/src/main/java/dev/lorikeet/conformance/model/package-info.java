/**
 * The rules of base models: a small model with its files and its tokenizer, sound and damaged, its
 * exact results in double precision, and routers to try it with. Not for users of the suite.
 */
@NullMarked
package dev.lorikeet.conformance.model;

import org.jspecify.annotations.NullMarked;
