package dev.lorikeet.conformance.runner;

import java.util.OptionalDouble;

/**
 * What one test found.
 *
 * @param rule the number of the rule
 * @param kind {@code required}, {@code optional}, {@code stochastic} or {@code untested}
 * @param test the name of the test
 * @param verdict whether the rule is kept, as far as this test can tell
 * @param reason why, where it is not kept or was not tested; else empty
 * @param details the stack trace of a failure, else empty
 * @param seed the seed in hexadecimal; empty if the test did not begin
 * @param worstError the largest error seen, in units of what is tolerated
 * @param seconds how long it took
 */
record TestOutcome(
    String rule,
    String kind,
    String test,
    Verdict verdict,
    String reason,
    String details,
    String seed,
    OptionalDouble worstError,
    double seconds) {}
