/**
 * Adapters and weights in files, sound and damaged. The suite reads and writes them by itself, on
 * purpose: it shares no line with the readers that it tests. Not for users of the suite.
 */
@NullMarked
package dev.lorikeet.conformance.files;

import org.jspecify.annotations.NullMarked;
