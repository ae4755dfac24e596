/**
 * The rules of LoRA executors with their exact results in double precision, and the executor that
 * the suite lends. Not for users of the suite.
 */
@NullMarked
package dev.lorikeet.conformance.executor;

import org.jspecify.annotations.NullMarked;
