package dev.lorikeet.bench.train;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.model.WholeFolder;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.train.TrainReport.Criterion;
import dev.lorikeet.bench.train.TrainReport.Peer;
import dev.lorikeet.bench.train.TrainReport.Row;
import dev.lorikeet.bench.train.TrainReport.Trial;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Measures fine-tuning of several tasks at once, one after the other, and beside PyTorch. */
@Command(
    name = "train",
    sortOptions = false,
    description =
        "Measures fine-tuning of LoRA adapters on all projections: several tasks at once beside one after the other, beside PyTorch where a Python has it, and memory beside its plan.")
public final class TrainCommand implements Callable<Integer> {
  private static final double LEAST_TOGETHER = 1.4;
  private static final double LEAST_FOUR = 2;
  private static final double MOST_FIRST_LOSS = 1e-3;
  private static final double MOST_MEMORY = 0.1;
  private static final int SHORT = 64;
  private static final int QUICK_ROUNDS = 2;
  private static final int FEW_TASKS = 4;
  private static final long FIRST_SEED = 900;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--model",
      paramLabel = "NAME",
      defaultValue = "135m",
      converter = Preset.Converter.class,
      description = "Random BF16 weights of a size: 8m, 135m or 1.1b (${DEFAULT-VALUE}).")
  private Preset model = Preset.M135;

  @Option(
      names = "--rank",
      paramLabel = "N",
      defaultValue = "16",
      description = "Rank of the adapters (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--mix",
      split = ",",
      paramLabel = "NxTOKENS",
      defaultValue = "1x64,4x64,16x64,1x512,4x512,16x512,3x64+1x512",
      converter = Mix.Converter.class,
      description =
          "Tasks by the tokens of their steps, with + for different ones (${DEFAULT-VALUE}).")
  private List<Mix> mixes = List.of();

  @Option(
      names = "--micro-batch-tokens",
      paramLabel = "N",
      defaultValue = "1024",
      description = "The most tokens that go through the model at once (${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "1536",
      description =
          "About how many tokens a run takes; 2 to 8 steps of each task (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Rounds; in each, everything is measured once (${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of every contender; all processors if not given.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--python",
      paramLabel = "COMMAND",
      defaultValue = "python3",
      description = "A Python that may have PyTorch (${DEFAULT-VALUE}).")
  private String python = "";

  @Option(
      names = "--peer-tasks",
      paramLabel = "N",
      defaultValue = "4",
      description = "PyTorch runs mixes of at most so many tasks; 0 for none (${DEFAULT-VALUE}).")
  private int peerTasks;

  @Option(
      names = "--quick",
      description = "Two rounds of mixes of at most four tasks: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    if (quick) {
      rounds = QUICK_ROUNDS;
      mixes = mixes.stream().filter(mix -> mix.tasks() <= FEW_TASKS).toList();
    }
    for (Mix mix : mixes) {
      if (mix.lengths().stream().anyMatch(length -> length > maxTokens)) {
        throw new ParameterException(
            spec.commandLine(),
            "--mix: expected sequences of at most "
                + maxTokens
                + " tokens, those of a micro-batch, found "
                + mix.title());
      }
    }
    String started = Instant.now().toString();
    Path file = output.file("train");
    output.says("measuring the machine");
    double peak = Roofline.measure(threads, 1).flopsPerSecond();
    Path log = Path.of(file + ".log").toAbsolutePath();
    TrainMeasurement.Setting setting = setting(log);
    try (TrainMeasurement measurement = new TrainMeasurement(setting, output)) {
      Optional<String> noPeer = Optional.of("not asked for");
      if (peerTasks > 0) {
        output.says("trying PyTorch's settings, tokens/s by length of a sequence:");
        TorchPeer torch = new TorchPeer(output.data(), python, setting.model(), threads, log);
        noPeer =
            measurement.tune(torch, mixes.stream().filter(m -> m.tasks() <= peerTasks).toList());
      }
      measurement.measure(mixes, peerTasks, rounds);
      List<Row> rows = measurement.rows(peak);
      TrainReport report =
          new TrainReport(
              "train",
              started,
              Machine.here(),
              model.title(),
              rank,
              threads,
              rounds,
              maxTokens,
              peak,
              measurement.tried(),
              noPeer.orElse(null),
              rows,
              criteria(rows, measurement.tried()),
              output.image(file, image -> TrainPlot.write(image, rows)));
      print(report);
      output.write(file, report);
      return 0;
    } catch (NotAvailable e) {
      throw new IOException("a contender failed: " + e.reason() + "; see " + log, e);
    }
  }

  private TrainMeasurement.Setting setting(Path log) throws IOException {
    Path folder = output.data().resolve(model.title());
    Path base = model.model(folder, output::says);
    int most = mixes.stream().mapToInt(Mix::tasks).max().orElse(0);
    List<String> adapters = new ArrayList<>();
    for (int i = 0; i < most; i++) {
      Path adapter = folder.resolve("rank-" + rank + "-task-" + i);
      long seed = FIRST_SEED + i;
      WholeFolder.make(
          adapter,
          output::says,
          target -> RandomWeights.writeAdapter(target, model.shape(), rank, seed));
      adapters.add(adapter.toAbsolutePath().toString());
    }
    return new TrainMeasurement.Setting(
        base.toAbsolutePath(),
        model.shape(),
        rank,
        adapters,
        threads,
        maxTokens,
        1L << 30,
        tokens,
        log);
  }

  private static List<Criterion> criteria(List<Row> rows, List<Trial> tried) {
    List<Criterion> criteria = new ArrayList<>();
    for (Trial trial : tried) {
      if (trial.failure() == null && trial.settings().precision().equals("f32")) {
        criteria.add(
            Criterion.between(
                "first losses beside PyTorch " + trial.settings(),
                trial.firstLossDifference(),
                0,
                MOST_FIRST_LOSS));
      }
    }
    for (Row row : rows) {
      boolean four = row.lengths().size() == FEW_TASKS;
      boolean alike = new HashSet<>(row.lengths()).size() == 1;
      if (row.lengths().size() > 1) {
        boolean shorts = four && alike && row.lengths().getFirst() == SHORT;
        criteria.add(
            Criterion.atLeast(
                row.mix() + " at once over one after the other",
                row.ratio().median(),
                shorts ? LEAST_TOGETHER : 1));
      }
      Peer peer = row.peer();
      if (peer != null) {
        if (row.lengths().size() == 1 || four) {
          criteria.add(
              Criterion.atLeast(
                  row.mix() + " over PyTorch", peer.ratio().median(), four ? LEAST_FOUR : 1));
        }
      }
      criteria.add(
          Criterion.between(
              row.mix() + ", memory over its plan",
              row.memory().ratio(),
              1 - MOST_MEMORY,
              1 + MOST_MEMORY));
    }
    return criteria;
  }

  private void print(TrainReport report) {
    output.print("");
    output.print(
        format(
            "%s, %d cores; JDK %s; multiply-adds %.0f GFLOP/s",
            report.machine().cpu(),
            report.machine().cores(),
            report.machine().jdk(),
            report.peakFlops() / 1e9));
    output.print("");
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "tasks x tokens",
            "at once, tokens/s",
            "in turn",
            "ratio",
            "GFLOP/s",
            "of peak",
            "PyTorch, in turn",
            "ratio",
            "first losses",
            "planned MB",
            "peak MB without the JVM's"));
    for (Row row : report.rows()) {
      List<String> line =
          new ArrayList<>(
              List.of(
                  row.mix(),
                  rate(row.together()),
                  rate(row.apart()),
                  ratio(row.ratio()),
                  format("%.0f", row.flopsPerSecond() / 1e9),
                  format("%.0f %%", 100 * row.shareOfPeak())));
      Peer peer = row.peer();
      line.addAll(
          peer == null
              ? List.of("-", "-", "-")
              : Arrays.asList(
                  rate(peer.tokensPerSecond()) + " " + peer.settings().precision(),
                  ratio(peer.ratio()),
                  format("%.1e", peer.firstLossDifference())));
      line.add(format("%.0f", row.memory().total() / 1e6));
      line.add(format("%.0f", (row.memory().peakBytes() - row.memory().jvmBytes()) / 1e6));
      rows.add(line);
    }
    output.table(rows);
    output.print("");
    for (Criterion criterion : report.criteria()) {
      output.print(
          (criterion.holds() ? "holds:  " : "missed: ")
              + criterion.statement()
              + format(" %.4g", criterion.value()));
    }
    if (report.noPeer() != null) {
      output.print("PyTorch: not measured, " + report.noPeer());
    }
  }

  private static String rate(Statistic value) {
    return format("%.0f (%.0f-%.0f)", value.median(), value.min(), value.max());
  }

  private static String ratio(Statistic value) {
    return format("%.2f (%.2f-%.2f)", value.median(), value.min(), value.max());
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
