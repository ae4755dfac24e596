package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.serve.Contention.Situation;
import dev.lorikeet.bench.serve.ContentionReport.Result;
import dev.lorikeet.bench.serve.ContentionReport.Row;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures how throughput holds on a machine that does something else as well. */
@Command(
    name = "contention",
    sortOptions = false,
    description =
        "Measures how much of its quiet throughput Lorikeet keeps, and java-llama.cpp beside it, on a machine that does something else as well: beside 1, 2 and 4 busy processes, under quotas of 50 and 150 %% of a processor, beside a second Lorikeet, and with more threads than processors; with 1 and with 8 sequences.")
public final class ContentionCommand implements Callable<Integer> {
  /** What makes the machine another than a quiet one. */
  enum Condition {
    BUSY,
    QUOTA,
    TWIN,
    THREADS
  }

  @Mixin private Extent extent = new Extent();

  @Option(
      names = "--busy",
      split = ",",
      paramLabel = "N",
      defaultValue = "1,2,4",
      description = "Beside how many busy processes (${DEFAULT-VALUE}).")
  private List<Integer> busy = List.of();

  @Option(
      names = "--quotas",
      split = ",",
      paramLabel = "PERCENT",
      defaultValue = "50,150",
      description = "Under which quotas, in per cent of a processor (${DEFAULT-VALUE}).")
  private List<Integer> quotas = List.of();

  @Option(
      names = "--conditions",
      split = ",",
      paramLabel = "NAME",
      defaultValue = "BUSY,QUOTA,TWIN,THREADS",
      description =
          "What is measured beside quiet: BUSY processes, a QUOTA, a second Lorikeet as TWIN, more THREADS than processors (${DEFAULT-VALUE}).")
  private List<Condition> conditions = List.of();

  @Option(
      names = "--contenders",
      split = ",",
      paramLabel = "NAME",
      defaultValue = "LORIKEET,LLAMA_CPP",
      description = "Who is measured: LORIKEET, JLAMA, LLAMA_CPP (${DEFAULT-VALUE}).")
  private List<Contender> contenders = List.of();

  @Mixin private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    String started = Instant.now().toString();
    Path file = output.file("contention");
    Path log = Path.of(file + ".log");
    Files.deleteIfExists(log);
    int processors = Runtime.getRuntime().availableProcessors();
    var prepared = new Preparation(output.data(), output::says).prepare(extent.model(), processors);
    List<Situation> situations = situations(processors);
    try (Contention contention = new Contention(prepared.inputs(), extent.tokens(), log, output)) {
      for (Contender contender : contenders) {
        contention.add(contender);
      }
      for (int round = 0; round < extent.rounds(); round++) {
        output.says("round " + (round + 1) + " of " + extent.rounds());
        contention.round(situations, round);
      }
      ContentionReport report =
          new ContentionReport(
              "contention",
              started,
              Machine.here(),
              extent.model(),
              processors,
              extent.rounds(),
              extent.tokens(),
              contention.titles(),
              contention.rows(situations, processors));
      print(report);
      output.write(file, report);
      return 0;
    } catch (NotAvailable e) {
      output.says("a contender failed: " + e.reason());
      return 1;
    }
  }

  /** Returns what is measured, the quiet first. */
  List<Situation> situations(int processors) {
    List<Situation> situations = new ArrayList<>(List.of(new Situation.Quiet()));
    for (Condition condition : EnumSet.copyOf(conditions)) {
      switch (condition) {
        case BUSY -> busy.forEach(count -> situations.add(new Situation.Busy(count)));
        case QUOTA -> quotas.forEach(percent -> situations.add(new Situation.Limited(percent)));
        case TWIN -> situations.add(new Situation.Twin());
        case THREADS -> {
          situations.add(new Situation.Threads(2 * processors));
          situations.add(new Situation.Threads(8 * processors));
        }
      }
    }
    return situations;
  }

  private void print(ContentionReport report) {
    Machine machine = report.machine();
    output.print("");
    output.print(machine.cpu() + ", " + machine.cores() + " cores; JDK " + machine.jdk());
    List<List<String>> rows = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of("", "sequences", "left"));
    report
        .contenders()
        .values()
        .forEach(title -> head.addAll(List.of(title + ", tokens/s", "share of quiet")));
    rows.add(head);
    for (Row row : report.rows()) {
      List<String> line =
          new ArrayList<>(
              List.of(row.situation(), Integer.toString(row.sequences()), share(row.left())));
      for (String contender : report.contenders().keySet()) {
        Result result = row.results().get(contender);
        line.addAll(
            result == null
                ? List.of("-", "-")
                : List.of(statistic(result.tokensPerSecond()), shares(result.share())));
      }
      rows.add(line);
    }
    output.table(rows);
    report.rows().stream()
        .filter(row -> row.skipped() != null)
        .map(row -> Map.entry(row.situation(), String.valueOf(row.skipped())))
        .distinct()
        .forEach(entry -> output.print(entry.getKey() + ": skipped, " + entry.getValue()));
    output.print("left: of the processors, to as many threads as a contender has");
  }

  private static String share(double value) {
    return String.format(Locale.ROOT, "%.2f", value);
  }

  private static String shares(Statistic value) {
    return share(value.median()) + " (" + share(value.min()) + "-" + share(value.max()) + ")";
  }

  private static String statistic(Statistic value) {
    return String.format(Locale.ROOT, "%.0f (%.0f-%.0f)", value.median(), value.min(), value.max());
  }
}
