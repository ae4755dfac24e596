package dev.lorikeet.bench.kernels;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.output.Output;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs the JMH microbenchmarks and compares them with what the machine allows. */
@Command(
    name = "kernels",
    sortOptions = false,
    description =
        "Measures matrix products and LoRA deltas, forward and backward, attention and merging with JMH, and how near each comes to what memory and arithmetic allow.")
public final class KernelsCommand implements Callable<Integer> {
  private static final String PACKAGE = "dev.lorikeet.bench.kernels.jmh.";
  private static final long STREAM_BYTES = 256L << 20;

  @Option(
      names = "--only",
      paramLabel = "REGEX",
      defaultValue = "",
      description = "Benchmarks whose name matches, such as MatMul; all if not given.")
  private String only = "";

  @Option(
      names = {"-p", "--param"},
      paramLabel = "KEY=A,B",
      description = "Values of a parameter, such as type=BF16 or tokens=1,8.")
  private Map<String, String> parameters = Map.of();

  @Option(
      names = "--iterations",
      paramLabel = "N",
      defaultValue = "5",
      description = "Measured seconds of each benchmark (${DEFAULT-VALUE}).")
  private int iterations;

  @Option(
      names = "--forks",
      paramLabel = "N",
      defaultValue = "1",
      description = "JVMs in which each is measured (${DEFAULT-VALUE}).")
  private int forks;

  @Option(names = "--quick", description = "One short iteration: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  /** The shape of the JSON. */
  private record Report(
      String benchmark, String started, Machine machine, Roofline roofline, List<Entry> kernels) {}

  /**
   * One benchmark.
   *
   * @param microseconds mean of the iterations
   * @param error half the width of JMH's 99.9 % confidence interval; 0 if there is none
   * @param bound whether reading or computing takes longer at the roofline
   * @param fractionOfRoofline the time at the roofline over the time measured
   */
  private record Entry(
      String kernel,
      Map<String, String> parameters,
      double microseconds,
      double error,
      double bytes,
      double flops,
      String bound,
      double fractionOfRoofline) {}

  @Override
  public Integer call() throws IOException, RunnerException {
    String started = Instant.now().toString();
    Path file = output.file("kernels");
    output.says("measuring the machine");
    Roofline roofline = Roofline.measure(Runtime.getRuntime().availableProcessors(), STREAM_BYTES);
    List<Entry> entries = new ArrayList<>();
    for (RunResult result : run(Path.of(file + ".log"))) {
      entries.add(entry(result, roofline));
    }
    print(entries, roofline);
    output.write(file, new Report("kernels", started, Machine.here(), roofline, entries));
    return 0;
  }

  private Collection<RunResult> run(Path log) throws RunnerException {
    output.says("running JMH; what it prints goes to " + log);
    ChainedOptionsBuilder options =
        new OptionsBuilder()
            .include(java.util.regex.Pattern.quote(PACKAGE) + ".*" + only)
            .forks(forks)
            .warmupIterations(quick ? 1 : 3)
            .warmupTime(TimeValue.seconds(1))
            .measurementIterations(quick ? 1 : iterations)
            .measurementTime(TimeValue.seconds(1))
            .shouldFailOnError(true)
            .output(log.toString());
    parameters.forEach((key, values) -> options.param(key, values.split(",")));
    return new Runner(options.build()).run();
  }

  private static Entry entry(RunResult result, Roofline roofline) {
    String name = result.getParams().getBenchmark();
    String type = name.substring(PACKAGE.length(), name.lastIndexOf('.'));
    Map<String, String> values = new TreeMap<>();
    for (String key : result.getParams().getParamsKeys()) {
      values.put(key, result.getParams().getParam(key));
    }
    KernelCost cost = KernelCost.of(type, key -> String.valueOf(values.get(key)));
    double microseconds = result.getPrimaryResult().getScore();
    double error = result.getPrimaryResult().getScoreError();
    double reading = cost.bytes() / roofline.modelBytesPerSecond();
    double computing = cost.flops() / roofline.flopsPerSecond();
    return new Entry(
        name.substring(PACKAGE.length()),
        values,
        microseconds,
        Double.isNaN(error) ? 0 : error,
        cost.bytes(),
        cost.flops(),
        reading > computing ? "memory" : "arithmetic",
        1e6 * Math.max(reading, computing) / microseconds);
  }

  private void print(List<Entry> entries, Roofline roofline) {
    output.print("");
    output.print(
        format(
            "reading %.1f GB/s (%d MiB), multiply-adds %.0f GFLOP/s, %d threads; a Llama of 135 M parameters, all layers",
            roofline.modelBytesPerSecond() / 1e9,
            STREAM_BYTES >> 20,
            roofline.flopsPerSecond() / 1e9,
            roofline.threads()));
    output.print("");
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "kernel", "parameters", "us", "+-", "GB/s", "GFLOP/s", "bound by", "of the roofline"));
    for (Entry entry : entries) {
      rows.add(
          List.of(
              entry.kernel(),
              entry.parameters().toString(),
              format("%.0f", entry.microseconds()),
              format("%.0f", entry.error()),
              format("%.1f", entry.bytes() / entry.microseconds() / 1e3),
              format("%.0f", entry.flops() / entry.microseconds() / 1e3),
              entry.bound(),
              format("%.0f %%", 100 * entry.fractionOfRoofline())));
    }
    output.table(rows);
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
