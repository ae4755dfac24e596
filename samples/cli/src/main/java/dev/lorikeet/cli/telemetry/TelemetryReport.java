package dev.lorikeet.cli.telemetry;

import dev.lorikeet.cli.console.Table;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.metrics.InstrumentType;
import io.opentelemetry.sdk.metrics.data.AggregationTemporality;
import io.opentelemetry.sdk.metrics.data.HistogramPointData;
import io.opentelemetry.sdk.metrics.data.LongPointData;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.data.PointData;
import io.opentelemetry.sdk.metrics.export.CollectionRegistration;
import io.opentelemetry.sdk.metrics.export.MetricReader;
import io.opentelemetry.sdk.trace.ReadWriteSpan;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SpanProcessor;
import io.opentelemetry.sdk.trace.data.SpanData;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;

/** Keeps the spans and metrics of one command and prints them for people. */
final class TelemetryReport {
  /** The same on every line. */
  private static final Set<String> UNSAID = Set.of("gen_ai.provider.name", "gen_ai.request.model");

  private final Queue<SpanData> spans = new ConcurrentLinkedQueue<>();
  private final Map<String, MetricData> latest = new ConcurrentHashMap<>();
  private Optional<CollectionRegistration> source = Optional.empty();

  /** Takes spans as they end. */
  SpanProcessor spans() {
    return new SpanProcessor() {
      @Override
      public void onStart(Context parent, ReadWriteSpan span) {}

      @Override
      public boolean isStartRequired() {
        return false;
      }

      @Override
      public void onEnd(ReadableSpan span) {
        spans.add(span.toSpanData());
        if (!span.getParentSpanContext().isValid()) {
          // Counts are those of an open model, and nobody tells when it will be closed.
          collect();
        }
      }

      @Override
      public boolean isEndRequired() {
        return true;
      }
    };
  }

  /** Takes metrics when asked to. */
  MetricReader metrics() {
    return new MetricReader() {
      @Override
      public void register(CollectionRegistration registration) {
        source = Optional.of(registration);
      }

      @Override
      public AggregationTemporality getAggregationTemporality(InstrumentType type) {
        return AggregationTemporality.CUMULATIVE;
      }

      @Override
      public CompletableResultCode forceFlush() {
        collect();
        return CompletableResultCode.ofSuccess();
      }

      @Override
      public CompletableResultCode shutdown() {
        return CompletableResultCode.ofSuccess();
      }
    };
  }

  private void collect() {
    source.ifPresent(
        s -> s.collectAllMetrics().forEach(metric -> latest.put(metric.getName(), metric)));
  }

  void print(PrintWriter out) {
    collect();
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("span", "begins", "takes", "attributes"));
    Map<String, List<SpanData>> byParent =
        spans.stream().collect(Collectors.groupingBy(SpanData::getParentSpanId));
    Set<String> known = spans.stream().map(SpanData::getSpanId).collect(Collectors.toSet());
    List<SpanData> roots =
        spans.stream().filter(span -> !known.contains(span.getParentSpanId())).toList();
    long origin = roots.stream().mapToLong(SpanData::getStartEpochNanos).min().orElse(0);
    addSpans(rows, roots, byParent, origin, "");
    Table.print(out, rows);
    out.println();
    rows.clear();
    rows.add(List.of("metric", "value", "attributes"));
    latest.values().stream()
        .sorted(Comparator.comparing(MetricData::getName))
        .forEach(metric -> addPoints(rows, metric));
    Table.print(out, rows);
    out.flush();
  }

  private static void addSpans(
      List<List<String>> rows,
      List<SpanData> spans,
      Map<String, List<SpanData>> byParent,
      long origin,
      String indent) {
    spans.stream()
        .sorted(Comparator.comparingLong(SpanData::getStartEpochNanos))
        .forEach(
            span -> {
              rows.add(
                  List.of(
                      indent + span.getName(),
                      milliseconds(span.getStartEpochNanos() - origin),
                      milliseconds(span.getEndEpochNanos() - span.getStartEpochNanos()),
                      text(span.getAttributes())));
              addSpans(
                  rows,
                  byParent.getOrDefault(span.getSpanId(), List.of()),
                  byParent,
                  origin,
                  indent + "  ");
            });
  }

  private static void addPoints(List<List<String>> rows, MetricData metric) {
    metric.getData().getPoints().stream()
        .sorted(Comparator.comparing(point -> text(point.getAttributes())))
        .forEach(
            point ->
                rows.add(
                    List.of(
                        metric.getName(),
                        value(point, metric.getUnit()),
                        text(point.getAttributes()))));
  }

  private static String value(PointData point, String unit) {
    String suffix = unit.startsWith("{") ? "" : " " + unit;
    return switch (point) {
      case LongPointData sum -> sum.getValue() + suffix;
      case HistogramPointData histogram ->
          String.format(
              Locale.ROOT,
              "%d times, mean %.4g%s",
              histogram.getCount(),
              histogram.getSum() / Math.max(1, histogram.getCount()),
              suffix);
      default -> point.toString();
    };
  }

  private static String milliseconds(long nanoseconds) {
    return String.format(Locale.ROOT, "%.1f ms", nanoseconds / 1e6);
  }

  private static String text(Attributes attributes) {
    return attributes.asMap().entrySet().stream()
        .filter(entry -> !UNSAID.contains(entry.getKey().getKey()))
        .map(entry -> entry.getKey().getKey() + "=" + entry.getValue())
        .collect(Collectors.joining(" "));
  }
}
