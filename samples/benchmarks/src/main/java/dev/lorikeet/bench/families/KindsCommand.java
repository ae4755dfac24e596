package dev.lorikeet.bench.families;

import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.model.AdapterKind;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomFamily;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.model.WholeFolder;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Tells what adapters of each kind cost beside plain LoRA. */
@Command(
    name = "kinds",
    sortOptions = false,
    description =
        "Measures decoding with one adapter of each kind in the same run, in turns: time of a step beside that with plain LoRA, and the bytes that the kind reads beside.")
public final class KindsCommand implements Callable<Integer> {
  private static final int WARM_UPS = 3;
  private static final long SEED = 2000;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--sequences",
      split = ",",
      defaultValue = "1,8",
      paramLabel = "N",
      description = "Sequences that decode side by side, all with the adapter (${DEFAULT-VALUE}).")
  private List<Integer> sequences = List.of();

  @Option(
      names = "--model",
      defaultValue = "135m",
      converter = Preset.Converter.class,
      paramLabel = "SIZE",
      description = "Sizes: 8m, 135m or 1.1b (${DEFAULT-VALUE}).")
  private Preset preset = Preset.M135;

  @Option(names = "--rank", defaultValue = "16", description = "Rank (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "9",
      description = "Rounds, in each of which all decode once (${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "33",
      description = "Tokens of a sequence in a round (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(names = "--threads", paramLabel = "N", description = "Threads; all if not given.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--processor-time",
      description =
          "Measure the processor time of the decoding thread, which other processes change less than the time that passes; one thread.")
  private boolean processorTime;

  @Option(names = "--quick", description = "One short round: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  /** The shape of the JSON. */
  private record Report(
      String benchmark,
      String started,
      Machine machine,
      int threads,
      boolean processorTime,
      double modelBytes,
      List<Entry> kinds) {}

  /**
   * A kind of adapter.
   *
   * @param bytesOfStep of the adapter that a step reads
   * @param stepSeconds of all rounds
   * @param overModel time of a step over that without adapter, round by round
   * @param bytesOverModel bytes of a step likewise
   */
  private record Entry(
      String kind,
      int sequences,
      double bytesOfStep,
      List<Double> stepSeconds,
      Statistic overModel,
      double bytesOverModel) {}

  @Override
  public Integer call() throws IOException {
    if (rounds < 1
        || tokens < 2
        || threads < 1
        || rank < 1
        || sequences.stream().anyMatch(n -> n < 1)) {
      throw new ParameterException(
          spec.commandLine(),
          "expected at least one round, thread, rank and sequence, and two tokens, found "
              + List.of(rounds, threads, rank, sequences, tokens));
    }
    if (processorTime) {
      threads = 1;
    }
    String started = Instant.now().toString();
    Path file = output.file("kinds");
    ModelShape shape = preset.shape();
    Path folder = output.data().resolve("kinds-" + preset.title());
    Path model = folder.resolve("model");
    WholeFolder.make(model, output::says, target -> RandomFamily.LLAMA.write(target, shape));
    List<Entry> entries = new ArrayList<>();
    double modelBytes;
    try (Decoding decoding =
        new Decoding(
            model,
            RandomWeights.vocabulary(shape),
            threads,
            processorTime
                ? ManagementFactory.getThreadMXBean()::getCurrentThreadCpuTime
                : System::nanoTime)) {
      Map<AdapterKind, AdapterSpec> specs = new EnumMap<>(AdapterKind.class);
      for (AdapterKind kind : AdapterKind.values()) {
        Path adapter = folder.resolve(kind.name() + "-" + rank);
        WholeFolder.make(
            adapter, output::says, target -> kind.write(target, shape, rank, SEED + rank));
        specs.put(kind, decoding.register(kind.name(), adapter));
      }
      modelBytes = decoding.bytesOfStep(1);
      for (int count : sequences) {
        output.says("measuring " + count + " sequences");
        measure(decoding, specs, count, entries);
      }
    }
    print(entries);
    output.write(
        file,
        new Report("kinds", started, Machine.here(), threads, processorTime, modelBytes, entries));
    return 0;
  }

  private void measure(
      Decoding decoding, Map<AdapterKind, AdapterSpec> specs, int count, List<Entry> entries) {
    int length = quick ? 3 : tokens;
    List<Optional<AdapterKind>> variants = new ArrayList<>();
    variants.add(Optional.empty());
    specs.keySet().forEach(kind -> variants.add(Optional.of(kind)));
    List<List<Double>> seconds = new ArrayList<>();
    for (Optional<AdapterKind> variant : variants) {
      seconds.add(new ArrayList<>());
      for (int i = 0; i < (quick ? 1 : WARM_UPS); i++) {
        decoding.step(count, length, variant.map(Enum::name));
      }
    }
    for (int round = 0; round < (quick ? 1 : rounds); round++) {
      for (int v = 0; v < variants.size(); v++) {
        int at = (v + round) % variants.size();
        seconds.get(at).add(decoding.step(count, length, variants.get(at).map(Enum::name)));
      }
    }
    double model = decoding.bytesOfStep(count);
    for (int v = 0; v < variants.size(); v++) {
      List<Double> ratios = new ArrayList<>();
      for (int round = 0; round < seconds.get(v).size(); round++) {
        ratios.add(seconds.get(v).get(round) / seconds.getFirst().get(round));
      }
      double bytes =
          variants
              .get(v)
              .map(kind -> bytesOfStep(Objects.requireNonNull(specs.get(kind)), count))
              .orElse(0.0);
      entries.add(
          new Entry(
              variants.get(v).map(kind -> kind.name().toLowerCase(Locale.ROOT)).orElse("none"),
              count,
              bytes,
              seconds.get(v),
              Statistic.of(ratios),
              1 + bytes / model));
    }
  }

  /** Of embeddings a step reads what belongs to its tokens; slopes and offsets are two vectors. */
  private static double bytesOfStep(AdapterSpec adapter, int sequences) {
    double bytes = 0;
    for (TargetSpec target : adapter.targets()) {
      double outputs = 2.0 * Float.BYTES * target.outFeatures();
      boolean embeds = target.target().projection() == Projection.EMBED;
      double read =
          embeds
              ? (double) sequences
                  * target.rank()
                  * (1 + target.outFeatures())
                  * target.type().bytes()
              : target.bytes();
      bytes += read + (target.magnitude() ? outputs - outputs / 2 : 0);
    }
    for (PartSpec part : adapter.parts()) {
      bytes += part.kind() == PartSpec.Kind.ROWS ? part.bytes() : 2.0 * part.bytes();
    }
    return bytes;
  }

  private void print(List<Entry> entries) {
    output.print("");
    output.print(
        format(
            "decoding, %d threads, %s shape, rank %d; a step with the adapter over one without, its bytes over the model's, and its time, median and extremes of the rounds",
            threads, preset.title(), rank));
    output.print("");
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("kind", "sequences", "MB/step", "ms/step", "bytes over", "time over"));
    for (Entry entry : entries) {
      Statistic ratio = entry.overModel();
      rows.add(
          List.of(
              entry.kind(),
              Integer.toString(entry.sequences()),
              format("%.1f", entry.bytesOfStep() / 1e6),
              format("%.2f", 1e3 * Statistic.of(entry.stepSeconds()).median()),
              format("%.2f", entry.bytesOverModel()),
              format("%.2f (%.2f-%.2f)", ratio.median(), ratio.min(), ratio.max())));
    }
    output.table(rows);
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
