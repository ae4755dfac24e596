package dev.lorikeet.arrow.store;

import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.OpenTelemetry;
import java.lang.System.Logger.Level;

/**
 * The process's OpenTelemetry, if the application has set one. It is never set from here: {@code
 * GlobalOpenTelemetry.get()} sets a no-op where there is none, and the application that comes with
 * its own a moment later fails.
 */
final class GlobalTelemetry {
  private static final System.Logger LOG = System.getLogger(GlobalTelemetry.class.getName());

  private GlobalTelemetry() {}

  /** Returns what the application has set, or a no-op. */
  static OpenTelemetry orNoop() {
    try {
      return GlobalOpenTelemetry.getOrNoop();
    } catch (NoSuchMethodError e) { // before 1.57, as Spring Boot 3.5 and 4.0 manage it
      return orNoopByField();
    }
  }

  /** Older versions don't tell whether one is set; all have the field that says it. */
  private static OpenTelemetry orNoopByField() {
    try {
      var field = GlobalOpenTelemetry.class.getDeclaredField("globalOpenTelemetry");
      field.setAccessible(true);
      return field.get(null) == null ? OpenTelemetry.noop() : GlobalOpenTelemetry.get();
    } catch (ReflectiveOperationException | RuntimeException e) {
      LOG.log(
          Level.WARNING,
          "no telemetry: expected io.opentelemetry:opentelemetry-api 1.57 or later, found an older one",
          e);
      return OpenTelemetry.noop();
    }
  }
}
