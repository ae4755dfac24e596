/**
 * The specification as JUnit tests: one abstract class per contract, to be extended with one
 * factory method. Every test carries the number of the rule that it holds an implementation to.
 */
@NullMarked
package dev.lorikeet.conformance;

import org.jspecify.annotations.NullMarked;
