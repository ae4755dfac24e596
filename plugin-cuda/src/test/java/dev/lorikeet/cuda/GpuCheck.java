package dev.lorikeet.cuda;

import dev.lorikeet.cuda.SgmvBenchmark.Case;
import dev.lorikeet.cuda.SgmvBenchmark.Distribution;
import dev.lorikeet.cuda.driver.CudaDevice;
import dev.lorikeet.cuda.driver.CudaFunction;
import dev.lorikeet.cuda.driver.DeviceMemory;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * The program behind {@code plugin-cuda/gpu-check}: the tests that need a device, then the
 * benchmarks; a table on the console and everything in a JSON file.
 */
final class GpuCheck {
  private static final String USAGE =
      """
      usage: gpu-check [--tests | --benchmarks] [--quick] [--comparators FILE] [--json FILE]
        --tests             the tests alone
        --benchmarks        the benchmarks alone
        --quick             a few small benchmarks, to see that they run
        --comparators FILE  lines of "key loop-micros gathered-micros" from torch_comparators.py
        --cases FILE        writes the benchmarks' keys there, for torch_comparators.py, and ends
        --json FILE         where to write all results
      Exit code: 0 green, 1 a test failed, 2 wrong usage, 3 no device.
      """;

  private final PrintStream out;
  private final List<String> json = new ArrayList<>();

  private GpuCheck(PrintStream out) {
    this.out = out;
  }

  /** What the command line asks for. */
  private record Options(
      boolean tests,
      boolean benchmarks,
      boolean quick,
      Optional<Path> comparators,
      Optional<Path> cases,
      Path json) {
    static Options parse(String[] args) {
      boolean tests = true;
      boolean benchmarks = true;
      boolean quick = false;
      Optional<Path> comparators = Optional.empty();
      Optional<Path> cases = Optional.empty();
      Path json = Path.of("gpu-check.json");
      for (int i = 0; i < args.length; i++) {
        switch (args[i]) {
          case "--tests" -> benchmarks = false;
          case "--benchmarks" -> tests = false;
          case "--quick" -> quick = true;
          case "--comparators" -> comparators = Optional.of(value(args, ++i));
          case "--cases" -> cases = Optional.of(value(args, ++i));
          case "--json" -> json = value(args, ++i);
          default -> throw new IllegalArgumentException("unknown option " + args[i]);
        }
      }
      return new Options(tests, benchmarks, quick, comparators, cases, json);
    }

    private static Path value(String[] args, int i) {
      if (i >= args.length) {
        throw new IllegalArgumentException(args[i - 1] + ": expected a value");
      }
      return Path.of(args[i]);
    }
  }

  /** Runs the check and exits. */
  public static void main(String[] args) throws IOException {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    Options options;
    try {
      options = Options.parse(args);
    } catch (IllegalArgumentException e) {
      out.println("gpu-check: " + e.getMessage());
      out.print(USAGE);
      System.exit(2);
      return;
    }
    System.exit(new GpuCheck(out).run(options));
  }

  private int run(Options options) throws IOException {
    List<Case> cases = cases(options.quick());
    if (options.cases().isPresent()) {
      Files.write(options.cases().get(), cases.stream().map(Case::key).toList());
      return 0;
    }
    CudaDevice.Probe probe = CudaDevice.probe();
    if (probe.devices().isEmpty()) {
      out.println("gpu-check: " + probe.reason());
      return 3;
    }
    CudaDevice device = probe.devices().getFirst();
    out.println(device);
    json.add(
        "\"device\": \"%s\", \"date\": \"%s\", \"java\": \"%s\""
            .formatted(device, Instant.now(), Runtime.version()));
    boolean green = !options.tests() || runTests();
    if (options.benchmarks()) {
      runBenchmarks(device, cases, options);
    }
    Files.writeString(options.json(), "{" + String.join(",\n ", json) + "}\n");
    out.println("everything is in " + options.json());
    return green ? 0 : 1;
  }

  private boolean runTests() {
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(
                DiscoverySelectors.selectClass(ExecutorConformanceTest.class),
                DiscoverySelectors.selectClass(DeviceTensorTest.class),
                DiscoverySelectors.selectClass(DeviceSwitchTest.class))
            .build();
    Launcher launcher = LauncherFactory.create();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    launcher.execute(request, listener);
    TestExecutionSummary summary = listener.getSummary();
    summary.printFailuresTo(new PrintWriter(out, true, StandardCharsets.UTF_8), 8);
    out.printf(
        "tests: %d passed, %d failed, %d skipped%n",
        summary.getTestsSucceededCount(),
        summary.getTestsFailedCount(),
        summary.getTestsAbortedCount() + summary.getTestsSkippedCount());
    json.add(
        "\"tests\": {\"passed\": %d, \"failed\": %d, \"aborted\": %d}"
            .formatted(
                summary.getTestsSucceededCount(),
                summary.getTestsFailedCount(),
                summary.getTestsAbortedCount()));
    return summary.getTestsFailedCount() == 0 && summary.getTestsSucceededCount() > 0;
  }

  /** What is measured: each parameter over its range, the others at their middle. */
  static List<Case> cases(boolean quick) {
    List<Case> cases = new ArrayList<>();
    if (quick) {
      cases.add(new Case(128, 8, 4, 4, Distribution.DISTINCT));
      cases.add(new Case(128, 0, 40, 1, Distribution.IDENTICAL));
      return cases;
    }
    for (int hidden : new int[] {4096, 8192}) {
      for (int rank : new int[] {8, 16, 64, 0}) {
        for (int tokens : new int[] {1, 8, 64, 128, 512, 4096}) {
          for (Distribution distribution : Distribution.values()) {
            int adapters = SgmvBenchmark.adapters(distribution, tokens, 512);
            cases.add(new Case(hidden, rank, tokens, adapters, distribution));
          }
        }
      }
    }
    return cases;
  }

  private void runBenchmarks(CudaDevice device, List<Case> cases, Options options)
      throws IOException {
    Map<String, double[]> comparators = readComparators(options.comparators());
    long memory = options.quick() ? 64L << 20 : Math.min(16L << 30, device.memoryBytes() / 4);
    int repeats = options.quick() ? 3 : 50;
    CudaOptions cuda = CudaOptions.parse(Map.of("memory-mib", String.valueOf(memory >> 20)));
    try (CudaLoraExecutor executor = CudaLoraExecutor.open(device, cuda);
        DeviceTimer timer = new DeviceTimer(executor.stream(), repeats)) {
      reportKernels(executor);
      double copy = copyBandwidth(executor, timer, options.quick() ? 1 << 20 : 1L << 30);
      out.printf(Locale.ROOT, "copy: %.0f GB/s%n", copy);
      json.add(String.format(Locale.ROOT, "\"copyGigabytesPerSecond\": %.1f", copy));
      sgmv(executor, timer, 2L * Math.max(1 << 20, device.l2Bytes()), cases, copy, comparators);
      fusedSwitch(device, executor, timer, copy, options.quick(), comparators);
    }
  }

  private static Map<String, double[]> readComparators(Optional<Path> file) throws IOException {
    Map<String, double[]> times = new TreeMap<>();
    if (file.isPresent()) {
      for (String line : Files.readAllLines(file.get())) {
        String[] words = line.trim().split(" ", -1);
        if (words.length == 3) {
          times.put(
              words[0], new double[] {Double.parseDouble(words[1]), Double.parseDouble(words[2])});
        }
      }
    }
    return times;
  }

  private void reportKernels(CudaLoraExecutor executor) {
    List<String> rows = new ArrayList<>();
    for (CudaFunction kernel : executor.kernels().all()) {
      rows.add(
          "{\"kernel\": \"%s\", \"registers\": %d, \"localBytes\": %d}"
              .formatted(kernel.name(), kernel.registers(), kernel.localBytes()));
    }
    json.add("\"kernels\": [" + String.join(", ", rows) + "]");
  }

  /** Bytes read and written per second by the device's own copy, in GB/s. */
  private static double copyBandwidth(CudaLoraExecutor executor, DeviceTimer timer, long bytes) {
    try (DeviceMemory from = DeviceMemory.allocate(bytes);
        DeviceMemory to = DeviceMemory.allocate(bytes)) {
      double micros =
          timer.medianMicros(
              1, i -> executor.stream().copyOnDevice(to.address(), from.address(), bytes));
      return 2.0 * bytes / micros / 1000;
    }
  }

  private void sgmv(
      CudaLoraExecutor executor,
      DeviceTimer timer,
      long rotateBytes,
      List<Case> cases,
      double copy,
      Map<String, double[]> comparators) {
    out.println(
        "hidden/rank/tokens/adapters/distribution   call us  graph us   GB/s  of copy  x loop  x gathered");
    SgmvBenchmark benchmark = new SgmvBenchmark(executor, rotateBytes, timer);
    List<String> rows = new ArrayList<>();
    for (Case c : cases) {
      SgmvBenchmark.Result r = benchmark.run(c);
      double rate = r.bytes() / r.graphMicros() / 1000;
      double[] other = comparators.getOrDefault(c.key(), new double[] {Double.NaN, Double.NaN});
      out.printf(
          Locale.ROOT,
          "%-42s %8.1f  %8.1f %6.0f    %4.0f%%  %6.1f      %6.1f%n",
          c.key(),
          r.callMicros(),
          r.graphMicros(),
          rate,
          100 * rate / copy,
          other[0] / r.callMicros(),
          other[1] / r.callMicros());
      rows.add(
          String.format(
              Locale.ROOT,
              "{\"case\": \"%s\", \"bytes\": %d, \"callMicros\": %.2f, \"graphMicros\": %.2f,"
                  + " \"loopMicros\": %s, \"gatheredMicros\": %s}",
              c.key(),
              r.bytes(),
              r.callMicros(),
              r.graphMicros(),
              number(other[0]),
              number(other[1])));
    }
    json.add("\"sgmv\": [" + String.join(",\n  ", rows) + "]");
  }

  private static String number(double value) {
    return Double.isNaN(value) ? "null" : String.format(Locale.ROOT, "%.2f", value);
  }

  private void fusedSwitch(
      CudaDevice device,
      CudaLoraExecutor executor,
      DeviceTimer timer,
      double copy,
      boolean quick,
      Map<String, double[]> comparators) {
    int hidden = quick ? 64 : 4096;
    int intermediate = quick ? 96 : 11008;
    long perLayer = 2L * 2 * (4L * hidden * hidden + 3L * hidden * intermediate);
    int layers = quick ? 1 : Math.clamp(device.memoryBytes() / 2 / perLayer, 1, 32);
    SwitchBenchmark.Result r =
        new SwitchBenchmark(executor, timer).run(layers, hidden, intermediate);
    double rate = r.bytes() / r.fusedMicros() / 1000;
    double torch = comparators.getOrDefault("switch", new double[] {Double.NaN, 0})[0];
    out.printf(
        Locale.ROOT,
        "switch of %d layers: %.0f us in one launch, %.0f us by module, %.0f GB/s, %.0f%% of copy,"
            + " %.1f x addmm_ loop%n",
        r.layers(),
        r.fusedMicros(),
        r.perModuleMicros(),
        rate,
        100 * rate / copy,
        torch * r.layers() / 32 / r.fusedMicros());
    json.add(
        String.format(
            Locale.ROOT,
            "\"switch\": {\"layers\": %d, \"bytes\": %d, \"fusedMicros\": %.1f,"
                + " \"perModuleMicros\": %.1f, \"addmmMicrosOf32Layers\": %s}",
            r.layers(),
            r.bytes(),
            r.fusedMicros(),
            r.perModuleMicros(),
            number(torch)));
  }
}
