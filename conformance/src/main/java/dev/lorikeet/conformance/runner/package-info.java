/** Runs the suite on plugins from jars, and reports. */
@NullMarked
package dev.lorikeet.conformance.runner;

import org.jspecify.annotations.NullMarked;
