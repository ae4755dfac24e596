package dev.lorikeet.bench.adapters;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.bench.adapters.AdaptersReport.Cell;
import dev.lorikeet.bench.adapters.AdaptersReport.Criterion;
import dev.lorikeet.bench.adapters.AdaptersReport.Memory;
import dev.lorikeet.bench.adapters.AdaptersReport.Setup;
import dev.lorikeet.bench.adapters.AdaptersReport.Soak;
import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.memory.PoolStats;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Measures what many registered adapters cost. */
@Command(
    name = "adapters",
    sortOptions = false,
    description =
        "Measures throughput, latency and memory with up to thousands of adapters registered, in a pool of fixed size, under Zipf and uniform traffic: saturated, and with Poisson arrivals.")
public final class AdaptersCommand implements Callable<Integer> {
  private static final int RANK = 16;
  private static final int FEW = 5;
  private static final double LEAST_SHARE = 0.9;
  private static final long SEED = 7;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--model",
      paramLabel = "NAME",
      defaultValue = "8m",
      converter = Preset.Converter.class,
      description = "Random weights of a size: 8m, 135m or 1.1b (${DEFAULT-VALUE}).")
  private Preset model = Preset.TINY;

  @Option(
      names = "--registered",
      split = ",",
      paramLabel = "N",
      defaultValue = "1,5,100,1000,10000",
      description = "Numbers of adapters (${DEFAULT-VALUE}).")
  private List<Integer> registered = List.of();

  @Option(
      names = "--traffic",
      split = ",",
      paramLabel = "NAME",
      description = "How requests are spread: ${COMPLETION-CANDIDATES}; both if not given.")
  private List<Traffic> traffic = List.of(Traffic.values());

  @Option(
      names = "--policy",
      paramLabel = "NAME",
      defaultValue = "fcfs",
      description = "The base model's admission policy (${DEFAULT-VALUE}).")
  private String policy = "";

  @Option(
      names = "--sequences",
      paramLabel = "N",
      defaultValue = "32",
      description = "The most sequences of a batch (${DEFAULT-VALUE}).")
  private int sequences;

  @Option(
      names = "--hot",
      paramLabel = "N",
      defaultValue = "100",
      description = "How many adapters the pool holds (${DEFAULT-VALUE}).")
  private int hot;

  @Option(
      names = "--distinct",
      paramLabel = "N",
      defaultValue = "100",
      description = "How many adapters differ; others are hard links (${DEFAULT-VALUE}).")
  private int distinct;

  @Option(
      names = "--requests",
      paramLabel = "N",
      defaultValue = "600",
      description = "Requests of each measurement (${DEFAULT-VALUE}).")
  private int requests;

  @Option(
      names = "--prompt",
      paramLabel = "N",
      defaultValue = "32",
      description = "Tokens of a prompt (${DEFAULT-VALUE}).")
  private int promptTokens;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "32",
      description = "Tokens that a request generates (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--load",
      paramLabel = "SHARE",
      defaultValue = "0.7",
      description = "Rate of the open loop, as a share of the saturated rate (${DEFAULT-VALUE}).")
  private double load;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "3",
      description = "Rounds, each with every measurement (${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--soak",
      paramLabel = "DURATION",
      description = "Then steady traffic for a time, such as 10m, and whether memory stays flat.")
  private Optional<String> soak = Optional.empty();

  @Option(names = "--quick", description = "One short round: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    if (quick) {
      rounds = 1;
      requests = 100;
    }
    Optional<Duration> soakTime = soak.map(this::duration);
    String started = Instant.now().toString();
    Path file = output.file("adapters");
    Testbed testbed = testbed();
    output.says("writing the adapters' files");
    testbed.prepare(registered);
    List<Cell> cells = measure(testbed);
    @Nullable Soak soaked =
        soakTime.isPresent()
            ? new SteadyTraffic(testbed, load, output).run(soakTime.get(), most())
            : null;
    AdaptersReport report =
        new AdaptersReport(
            "adapters",
            started,
            Machine.here(),
            setup(testbed),
            cells,
            criterion(testbed, cells),
            soaked,
            output.image(file, image -> Plot.write(image, cells)));
    new AdaptersText(output).print(report);
    output.write(file, report);
    return 0;
  }

  private int most() {
    return registered.stream().mapToInt(Integer::intValue).max().orElse(1);
  }

  private Duration duration(String text) {
    try {
      return Duration.parse(text.toUpperCase(Locale.ROOT).startsWith("P") ? text : "PT" + text);
    } catch (java.time.format.DateTimeParseException e) {
      throw new ParameterException(
          spec.commandLine(), "--soak: expected a time such as 10m or 90s, found " + text, e);
    }
  }

  private Testbed testbed() throws IOException {
    Path folder = output.data().resolve(model.title());
    return new Testbed(
        model.model(folder, output::says),
        model.shape(),
        new AdapterFarm(folder.resolve("farm-" + distinct), model.shape(), RANK, distinct),
        policy,
        sequences,
        hot,
        promptTokens,
        tokens);
  }

  private Setup setup(Testbed testbed) throws IOException {
    return new Setup(
        model.title(),
        model.shape(),
        RANK,
        testbed.farm().bytes(),
        testbed.poolBytes(),
        policy,
        sequences,
        hot,
        distinct,
        promptTokens,
        tokens,
        requests,
        rounds,
        load,
        SEED);
  }

  private List<Cell> measure(Testbed testbed) throws IOException {
    List<Cell> cells = new ArrayList<>();
    var progress = output.progress("cells", (long) rounds * registered.size() * traffic.size());
    for (int round = 0; round < rounds; round++) {
      for (int count : registered) {
        for (Traffic kind : traffic) {
          Cell cell = cell(testbed, round, count, kind);
          cells.add(cell);
          output.says(
              String.format(
                  Locale.ROOT,
                  "round %d, %d adapters, %s: %.0f tokens/s",
                  round + 1,
                  count,
                  kind,
                  cell.saturated().tokensPerSecond()));
          progress.ifPresent(bar -> bar.step());
        }
      }
    }
    progress.ifPresent(bar -> bar.close());
    return cells;
  }

  private Cell cell(Testbed testbed, int round, int count, Traffic kind) throws IOException {
    long start = System.nanoTime();
    try (Lorikeet lorikeet = testbed.open(count)) {
      double registering = (System.nanoTime() - start) / 1e9;
      Load sender = testbed.load(lorikeet);
      IntSupplier source = kind.source(count, SEED + round);
      long seed = SEED + 1_000_000L * round;
      sender.saturated(source, Math.max(2 * sequences, requests / 3), 2 * sequences, -seed);
      Load.Result saturated = sender.saturated(source, requests, 2 * sequences, seed);
      double rate = load * saturated.requests() / saturated.seconds();
      int[] left = {requests};
      Load.Result poisson = sender.poisson(source, rate, () -> left[0]-- > 0, seed + 500_000);
      return new Cell(round, count, kind, registering, saturated, poisson, memory(lorikeet));
    }
  }

  /** Returns the memory of this process and what is in the pool. */
  static Memory memory(Lorikeet lorikeet) {
    PoolStats pool = lorikeet.pool().stats();
    StoreStats store = lorikeet.adapters().stats();
    Runtime runtime = Runtime.getRuntime();
    return new Memory(
        Machine.residentBytes(),
        Machine.anonymousBytes(),
        runtime.totalMemory() - runtime.freeMemory(),
        store.resident(),
        pool.adapterPages(),
        pool.kvCachePages(),
        pool.pages(),
        store.hits(),
        store.loads(),
        store.evictions());
  }

  private @Nullable Criterion criterion(Testbed testbed, List<Cell> cells) throws IOException {
    List<Double> ratios = new ArrayList<>();
    List<Double> fewThroughputs = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      double few = throughput(cells, round, FEW);
      double many = throughput(cells, round, most());
      if (few > 0 && most() > FEW) {
        ratios.add(many / few);
        fewThroughputs.add(few);
      }
    }
    if (ratios.isEmpty()) {
      return null;
    }
    Statistic ratio = Statistic.of(ratios);
    output.says("measuring the memory");
    double memoryBytesPerSecond = Roofline.readMemory(Runtime.getRuntime().availableProcessors());
    double distinctFew = Traffic.ZIPF.distinct(FEW, sequences);
    double distinctMost = Traffic.ZIPF.distinct(most(), sequences);
    double step = sequences / Statistic.of(fewThroughputs).median();
    double more = (distinctMost - distinctFew) * testbed.farm().bytes() / memoryBytesPerSecond;
    return new Criterion(
        "4 Zipf traffic: throughput with " + most() + " adapters over that with " + FEW,
        ratio.median(),
        ratio.min(),
        ratio.max(),
        LEAST_SHARE,
        ratio.median() >= LEAST_SHARE,
        distinctFew,
        distinctMost,
        memoryBytesPerSecond,
        step / (step + more));
  }

  private static double throughput(List<Cell> cells, int round, int count) {
    return cells.stream()
        .filter(c -> c.round() == round && c.registered() == count && c.traffic() == Traffic.ZIPF)
        .mapToDouble(c -> c.saturated().tokensPerSecond())
        .findFirst()
        .orElse(0);
  }
}
