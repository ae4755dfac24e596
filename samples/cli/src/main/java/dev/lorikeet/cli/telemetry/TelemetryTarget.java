package dev.lorikeet.cli.telemetry;

/** Where spans and metrics of a command go. */
public enum TelemetryTarget {
  /** To the standard error, when the command has ended. */
  PRINT,
  /** Where OpenTelemetry's environment variables say. */
  EXPORT
}
