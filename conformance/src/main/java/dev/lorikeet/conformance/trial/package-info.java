/**
 * What a test of a rule is, whatever the contract: the rule that it carries, one run with its
 * randomness and patience, what it expects, how it is aborted; and the rules of providers. Not for
 * users of the suite.
 */
@NullMarked
package dev.lorikeet.conformance.trial;

import org.jspecify.annotations.NullMarked;
