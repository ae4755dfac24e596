/** Spans and metrics of a command, printed or exported. */
@NullMarked
package dev.lorikeet.cli.telemetry;

import org.jspecify.annotations.NullMarked;
