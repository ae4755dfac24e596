/** Spans and metrics of a served model through the OpenTelemetry API. */
@NullMarked
package dev.lorikeet.jlama.telemetry;

import org.jspecify.annotations.NullMarked;
