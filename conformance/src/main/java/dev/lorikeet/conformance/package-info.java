/**
 * The specification as JUnit tests: one abstract class per contract, to be extended with one
 * factory method. Every test carries the number of the rule that it holds an implementation to.
 *
 * <p>For users are this package, {@link dev.lorikeet.conformance.setup}, which says how much is
 * tried and where, and {@link dev.lorikeet.conformance.runner}, which tests finished jars. The
 * other packages hold the tests themselves: what is public there is so for the suite alone, and may
 * change with any version.
 */
@NullMarked
package dev.lorikeet.conformance;

import org.jspecify.annotations.NullMarked;
