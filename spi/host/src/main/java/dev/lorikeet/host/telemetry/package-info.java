/** Spans and metrics of a served model through the OpenTelemetry API. */
@NullMarked
package dev.lorikeet.host.telemetry;

import org.jspecify.annotations.NullMarked;
