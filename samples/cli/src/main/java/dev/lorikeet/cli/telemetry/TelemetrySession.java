package dev.lorikeet.cli.telemetry;

import dev.lorikeet.cli.console.Console;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import java.util.Map;
import java.util.Optional;

/**
 * An OpenTelemetry SDK for one command, as an application would set it up: made global before a
 * model is opened, closed after the model.
 */
public final class TelemetrySession implements AutoCloseable {
  private final OpenTelemetrySdk sdk;
  private final Runnable report;

  private TelemetrySession(OpenTelemetrySdk sdk, Runnable report) {
    this.sdk = sdk;
    this.report = report;
  }

  /** Starts what the user asked for. */
  public static Optional<TelemetrySession> start(
      Optional<TelemetryTarget> target, Console console) {
    return target.map(
        where ->
            switch (where) {
              case PRINT -> printing(console);
              case EXPORT -> exporting();
            });
  }

  private static TelemetrySession exporting() {
    AutoConfiguredOpenTelemetrySdk configured =
        AutoConfiguredOpenTelemetrySdk.builder()
            .addPropertiesSupplier(
                () ->
                    Map.of(
                        "otel.service.name",
                        "lorikeet",
                        "otel.exporter.otlp.protocol",
                        "http/protobuf",
                        "otel.logs.exporter",
                        "none"))
            .disableShutdownHook()
            .setResultAsGlobal()
            .build();
    return new TelemetrySession(configured.getOpenTelemetrySdk(), () -> {});
  }

  private static TelemetrySession printing(Console console) {
    TelemetryReport report = new TelemetryReport();
    OpenTelemetrySdk sdk =
        OpenTelemetrySdk.builder()
            .setTracerProvider(SdkTracerProvider.builder().addSpanProcessor(report.spans()).build())
            .setMeterProvider(
                SdkMeterProvider.builder().registerMetricReader(report.metrics()).build())
            .build();
    GlobalOpenTelemetry.set(sdk);
    return new TelemetrySession(sdk, () -> report.print(console.err()));
  }

  /** Sends or prints what is left. */
  @Override
  public void close() {
    report.run();
    sdk.close();
  }
}
