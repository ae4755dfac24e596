package dev.lorikeet.cuda.lora;

import dev.lorikeet.cuda.driver.CudaContext;
import dev.lorikeet.cuda.driver.CudaDevice;
import dev.lorikeet.cuda.driver.CudaFunction;
import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.cuda.lora.CheckReport.Entry;
import dev.lorikeet.cuda.lora.SgmvBenchmark.Case;
import dev.lorikeet.cuda.lora.SgmvBenchmark.Distribution;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The program behind {@code plugin-cuda/gpu-check}: the tests that need a device, then the
 * benchmarks; a table on the console and everything in a JSON file. A failure ends the case that it
 * strikes, not the check.
 */
final class GpuCheck {
  private static final String USAGE =
      """
      usage: gpu-check [--tests | --kernels | --benchmarks] [--quick] [--minutes N] [--only REGEX]
                       [--fuse auto|always|never] [--overlap auto|never] [--json FILE]
        --tests         the tests alone: conformance suite and kernels
        --kernels       the tests of the kernels alone, as compute-sanitizer gets them
        --benchmarks    the benchmarks alone
        --quick         a few small benchmarks, to see that they run
        --minutes N     starts no benchmark after so many minutes (default 8)
        --only REGEX    only SGMV benchmarks whose key has this: hidden/rank/tokens/adapters/distribution
        --fuse HOW      the executor's option, for the SGMV benchmarks
        --overlap HOW   likewise
        --json FILE     where results go, as they come (default gpu-check.json)
      Exit code: 0 green, 1 a test or a benchmark failed, 2 wrong usage, 3 no device.
      """;

  private final PrintStream out;
  private final Options options;
  private final CheckReport report;
  private final Instant deadline;
  private boolean green = true;

  private GpuCheck(PrintStream out, Options options) {
    this.out = out;
    this.options = options;
    report = new CheckReport(options.json());
    deadline = Instant.now().plus(options.limit());
  }

  /** What to do. */
  private enum Part {
    ALL,
    TESTS,
    KERNELS,
    BENCHMARKS
  }

  /** What the command line asks for. */
  private record Options(
      Part part,
      boolean quick,
      Duration limit,
      Pattern only,
      String fuse,
      String overlap,
      Path json) {
    static Options parse(String[] args) {
      Part part = Part.ALL;
      boolean quick = false;
      Duration limit = Duration.ofMinutes(8);
      Pattern only = Pattern.compile("");
      String fuse = "auto";
      String overlap = "auto";
      Path json = Path.of("gpu-check.json");
      for (int i = 0; i < args.length; i++) {
        switch (args[i]) {
          case "--tests" -> part = Part.TESTS;
          case "--kernels" -> part = Part.KERNELS;
          case "--benchmarks" -> part = Part.BENCHMARKS;
          case "--quick" -> quick = true;
          case "--minutes" -> limit = Duration.ofMinutes(Long.parseLong(value(args, ++i)));
          case "--only" -> only = Pattern.compile(value(args, ++i));
          case "--fuse" -> fuse = value(args, ++i);
          case "--overlap" -> overlap = value(args, ++i);
          case "--json" -> json = Path.of(value(args, ++i));
          default -> throw new IllegalArgumentException("unknown option " + args[i]);
        }
      }
      return new Options(part, quick, limit, only, fuse, overlap, json);
    }

    private static String value(String[] args, int i) {
      if (i >= args.length) {
        throw new IllegalArgumentException(args[i - 1] + ": expected a value");
      }
      return args[i];
    }
  }

  /** Runs the check and exits. */
  public static void main(String[] args) {
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
    System.exit(new GpuCheck(out, options).run());
  }

  private int run() {
    CudaDevice.Probe probe = CudaDevice.probe();
    if (probe.devices().isEmpty()) {
      out.println("gpu-check: " + probe.reason());
      return 3;
    }
    CudaDevice device = probe.devices().getFirst();
    out.println(device);
    report.set(
        "machine",
        new Entry()
            .with("device", device.toString())
            .with("multiprocessors", device.multiprocessors())
            .with("l2Bytes", device.l2Bytes())
            .with("date", Instant.now().toString())
            .with("java", Runtime.version().toString()));
    // Held open, so that opening an executor does not set the device up each time.
    try (CudaContext context = CudaContext.open(device)) {
      if (options.part() != Part.BENCHMARKS) {
        attempt("tests", () -> runTests(context));
      }
      if (options.part() == Part.ALL || options.part() == Part.BENCHMARKS) {
        runBenchmarks(device);
      }
    } catch (RuntimeException e) {
      failed("closing the device", e);
    }
    out.println("everything is in " + options.json());
    return green ? 0 : 1;
  }

  private void attempt(String what, Runnable work) {
    try {
      work.run();
    } catch (RuntimeException | AssertionError e) {
      failed(what, e);
    }
  }

  private void failed(String what, Throwable e) {
    green = false;
    out.println("FAILED " + what + ": " + e);
    report.add("failures", new Entry().with("what", what).with("failure", e.toString()));
  }

  private void runTests(CudaContext context) {
    long before = context.freeBytes();
    List<Class<?>> tests = new ArrayList<>();
    tests.add(DeviceTensorTest.class);
    tests.add(DeviceSwitchTest.class);
    if (options.part() != Part.KERNELS) {
      tests.add(ExecutorConformanceTest.class);
    }
    TestRun run = TestRun.of(tests, out);
    long lost = before - context.freeBytes();
    out.printf(
        Locale.ROOT,
        "tests: %d passed, %d failed, %d did not apply; device memory in use has grown by %d MiB%n",
        run.passed(),
        run.failures().size(),
        run.skipped(),
        lost >> 20);
    report.set(
        "tests",
        new Entry()
            .with("passed", run.passed())
            .with("failed", run.failures().size())
            .with("skipped", run.skipped())
            .with("seconds", run.seconds())
            .with("deviceBytesLost", lost));
    for (String failure : run.failures()) {
      report.add("failures", new Entry().with("what", "tests").with("failure", failure));
    }
    green &= run.failures().isEmpty() && run.passed() > 0;
  }

  /** What is measured; first what the targets speak of. */
  static List<Case> cases(boolean quick) {
    List<Case> cases = new ArrayList<>();
    if (quick) {
      cases.add(new Case(128, 8, 4, 4, Distribution.DISTINCT));
      cases.add(new Case(128, 0, 40, 1, Distribution.IDENTICAL));
      return cases;
    }
    for (int hidden : new int[] {4096, 8192}) {
      for (int rank : new int[] {16, 64, 8, 0}) {
        for (int tokens : new int[] {64, 128, 512, 1, 8, 4096}) {
          for (Distribution distribution : Distribution.values()) {
            int adapters = SgmvBenchmark.adapters(distribution, tokens, 512);
            cases.add(new Case(hidden, rank, tokens, adapters, distribution));
          }
        }
      }
    }
    cases.sort(Comparator.comparingInt(c -> c.isTarget() ? 0 : 1));
    return cases;
  }

  private CudaOptions cuda(long bytes) {
    String mebibytes = String.valueOf((bytes >> 20) + 1);
    return CudaOptions.parse(
        Map.of("memory-mib", mebibytes, "fuse", options.fuse(), "overlap", options.overlap()));
  }

  private void runBenchmarks(CudaDevice device) {
    int repeats = options.quick() ? 3 : 50;
    double[] copy = {Double.NaN};
    attempt("copy bandwidth", () -> copy[0] = copyBandwidth(device, repeats));
    attempt("switch", () -> fusedSwitch(device, repeats, copy[0]));
    out.println(
        "hidden/rank/tokens/adapters/distribution    call us  graph us   GB/s  of copy   seconds");
    int left = 0;
    for (Case c : cases(options.quick())) {
      if (!options.only().matcher(c.key()).find()) {
        continue;
      }
      if (Instant.now().isAfter(deadline)) {
        left++;
      } else {
        attempt(c.key(), () -> sgmv(device, c, repeats, copy[0]));
      }
    }
    if (left > 0) {
      out.println("no time for " + left + " more benchmarks: --minutes");
      report.set("left", new Entry().with("benchmarks", left));
    }
  }

  /** Bytes read and written per second by the device's own copy, in GB/s. */
  private double copyBandwidth(CudaDevice device, int repeats) {
    long bytes = options.quick() ? 1 << 20 : 1L << 30;
    try (CudaLoraExecutor executor = CudaLoraExecutor.open(device, cuda(1 << 20));
        DeviceTimer timer = new DeviceTimer(executor.stream(), repeats);
        DeviceMemory from = DeviceMemory.allocate(bytes);
        DeviceMemory to = DeviceMemory.allocate(bytes)) {
      for (CudaFunction kernel : executor.kernels().all()) {
        report.add(
            "kernels",
            new Entry()
                .with("kernel", kernel.name())
                .with("registers", kernel.registers())
                .with("localBytes", kernel.localBytes()));
      }
      BenchmarkAdapter.randomize(from, executor.stream());
      double micros =
          timer.medianMicros(
              1, _ -> executor.stream().copyOnDevice(to.address(), from.address(), bytes));
      double rate = 2.0 * bytes / micros / 1000;
      out.printf(Locale.ROOT, "copy: %.0f GB/s%n", rate);
      report.set("copy", new Entry().with("gigabytesPerSecond", rate));
      return rate;
    }
  }

  private void sgmv(CudaDevice device, Case c, int repeats, double copy) {
    Instant start = Instant.now();
    SgmvBenchmark benchmark = new SgmvBenchmark(c, 2L * Math.max(1 << 20, device.l2Bytes()));
    try (CudaLoraExecutor executor = CudaLoraExecutor.open(device, cuda(benchmark.adapterBytes()));
        DeviceTimer timer = new DeviceTimer(executor.stream(), repeats)) {
      SgmvBenchmark.Result r = benchmark.run(executor, timer);
      double rate = r.bytes() / r.graphMicros() / 1000;
      out.printf(
          Locale.ROOT,
          "%-42s %8.1f  %8.1f %6.0f    %4.0f%%  %8.1f%n",
          c.key(),
          r.callMicros(),
          r.graphMicros(),
          rate,
          100 * rate / copy,
          Duration.between(start, Instant.now()).toMillis() / 1000.0);
      report.add(
          "sgmv",
          new Entry()
              .with("case", c.key())
              .with("bytes", r.bytes())
              .with("rotation", r.rotation())
              .with("callMicros", r.callMicros())
              .with("graphMicros", r.graphMicros())
              .with("ofCopy", rate / copy));
    }
  }

  private void fusedSwitch(CudaDevice device, int repeats, double copy) {
    int hidden = options.quick() ? 64 : 4096;
    int intermediate = options.quick() ? 96 : 11008;
    long perLayer = 2L * 2 * (4L * hidden * hidden + 3L * hidden * intermediate);
    int layers = options.quick() ? 1 : Math.clamp(device.memoryBytes() / 2 / perLayer, 1, 32);
    try (CudaLoraExecutor executor =
            CudaLoraExecutor.open(device, cuda(options.quick() ? 16 << 20 : 1L << 30));
        DeviceTimer timer = new DeviceTimer(executor.stream(), repeats)) {
      SwitchBenchmark.Result r =
          new SwitchBenchmark(executor, timer).run(layers, hidden, intermediate);
      double rate = r.bytes() / r.fusedMicros() / 1000;
      out.printf(
          Locale.ROOT,
          "switch of %d layers: %.0f us in one launch, %.0f us by module, %.0f GB/s, %.0f%% of"
              + " copy%n",
          r.layers(),
          r.fusedMicros(),
          r.perModuleMicros(),
          rate,
          100 * rate / copy);
      report.set(
          "switch",
          new Entry()
              .with("layers", r.layers())
              .with("bytes", r.bytes())
              .with("fusedMicros", r.fusedMicros())
              .with("perModuleMicros", r.perModuleMicros())
              .with("ofCopy", rate / copy));
    }
  }
}
