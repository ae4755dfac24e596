package dev.lorikeet.cli;

/** Where spans and metrics of a command go. */
enum TelemetryTarget {
  /** To the standard error, when the command has ended. */
  PRINT,
  /** Where OpenTelemetry's environment variables say. */
  EXPORT
}
