package dev.lorikeet.bench.families;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomFamily;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.model.Vocabulary;
import dev.lorikeet.bench.model.WholeFolder;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.jlama.quantize.Quantizer;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Compares the families of models with Llama, by the bytes of weights that a step reads. */
@Command(
    name = "families",
    sortOptions = false,
    description =
        "Measures decoding with every family's architecture in the same sizes, beside Llama's in the same run, in turns: time of a step by the bytes of weights that it reads.")
public final class FamiliesCommand implements Callable<Integer> {
  private static final int WARM_UPS = 3;

  /** How weights are stored. */
  enum Type {
    /** As they are written. */
    BF16,
    /** Quantized. */
    Q4
  }

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--families",
      split = ",",
      paramLabel = "NAME",
      description = "Families to compare, such as gemma,phi3; all if not given.")
  private List<String> names = new ArrayList<>();

  @Option(
      names = "--types",
      split = ",",
      defaultValue = "BF16,Q4",
      paramLabel = "TYPE",
      description = "Types of weights (${DEFAULT-VALUE}).")
  private List<Type> types = List.of();

  @Option(
      names = "--sequences",
      split = ",",
      defaultValue = "1,8",
      paramLabel = "N",
      description = "Sequences that decode side by side (${DEFAULT-VALUE}).")
  private List<Integer> sequences = List.of();

  @Option(
      names = "--model",
      defaultValue = "135m",
      converter = Preset.Converter.class,
      paramLabel = "SIZE",
      description = "Sizes: 8m, 135m or 1.1b (${DEFAULT-VALUE}).")
  private Preset preset = Preset.M135;

  @Option(
      names = "--layers",
      paramLabel = "N",
      description =
          "Layers, if not all of the size's; the vocabulary shrinks with them, so that the output keeps its part of the bytes.")
  private Optional<Integer> layers = Optional.empty();

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "9",
      description = "Rounds, in each of which both decode once (${DEFAULT-VALUE}).")
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
      List<Entry> families) {}

  /**
   * A family beside Llama.
   *
   * @param bytesOfStep weights that a step reads
   * @param llamaBytesOfStep likewise Llama's
   * @param stepSeconds of all rounds
   * @param llamaStepSeconds of the same rounds
   * @param perByte throughput per byte of weights over Llama's, round by round
   */
  private record Entry(
      String family,
      Type type,
      int sequences,
      double bytesOfStep,
      double llamaBytesOfStep,
      List<Double> stepSeconds,
      List<Double> llamaStepSeconds,
      Statistic perByte) {}

  @Override
  public Integer call() throws IOException {
    if (rounds < 1
        || tokens < 2
        || threads < 1
        || layers.orElse(1) < 1
        || sequences.stream().anyMatch(n -> n < 1)) {
      throw new ParameterException(
          spec.commandLine(),
          "expected at least one round, thread and sequence, and two tokens, found "
              + List.of(rounds, threads, sequences, tokens));
    }
    List<RandomFamily> families;
    try {
      families = RandomFamily.of(names);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), "--" + e.getMessage(), e);
    }
    if (processorTime) {
      threads = 1;
    }
    String started = Instant.now().toString();
    Path file = output.file("families");
    List<Entry> entries = new ArrayList<>();
    for (Type type : types) {
      try (Decoding llama = open(RandomFamily.LLAMA, type)) {
        for (RandomFamily family : families) {
          if (type == Type.BF16 || family.quantizes()) {
            output.says("measuring " + family.modelType() + " in " + type);
            try (Decoding other = open(family, type)) {
              for (int count : sequences) {
                entries.add(entry(family, type, count, other, llama));
              }
            }
            if (family != RandomFamily.LLAMA) {
              delete(directory(family, type));
            }
          }
        }
      }
    }
    print(entries);
    output.write(
        file, new Report("families", started, Machine.here(), threads, processorTime, entries));
    return 0;
  }

  private ModelShape shape() {
    ModelShape full = preset.shape();
    int count = Math.min(full.layers(), layers.orElse(full.layers()));
    return full.toBuilder()
        .layers(count)
        .vocabulary((int) ((long) full.vocabulary() * count / full.layers()))
        .build();
  }

  private Path directory(RandomFamily family, Type type) throws IOException {
    Path folder =
        Files.createDirectories(
            output.data().resolve("families-" + preset.title() + "-" + shape().layers()));
    return folder.resolve(family.modelType() + "-" + type);
  }

  /** Writes the model if it is not there; only Llama's is kept, since all together are large. */
  private Decoding open(RandomFamily family, Type type) throws IOException {
    Path whole = directory(family, Type.BF16);
    Path directory = directory(family, type);
    if (!Files.exists(directory)) {
      WholeFolder.make(whole, output::says, target -> family.write(target, shape()));
      if (type == Type.Q4) {
        output.says("quantizing " + whole);
        Quantizer.quantize(whole, directory, false);
        if (family != RandomFamily.LLAMA) {
          delete(whole);
        }
      }
    }
    Vocabulary vocabulary = RandomWeights.vocabulary(shape());
    LongSupplier clock =
        processorTime
            ? ManagementFactory.getThreadMXBean()::getCurrentThreadCpuTime
            : System::nanoTime;
    return new Decoding(directory, vocabulary, threads, clock);
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }

  private Entry entry(RandomFamily family, Type type, int count, Decoding other, Decoding llama) {
    int length = quick ? 3 : tokens;
    for (int i = 0; i < (quick ? 1 : WARM_UPS); i++) {
      other.step(count, length);
      llama.step(count, length);
    }
    List<Double> steps = new ArrayList<>();
    List<Double> llamas = new ArrayList<>();
    List<Double> ratios = new ArrayList<>();
    double bytes = other.bytesOfStep(count);
    double llamaBytes = llama.bytesOfStep(count);
    for (int round = 0; round < (quick ? 1 : rounds); round++) {
      boolean first = round % 2 == 0;
      double early = (first ? other : llama).step(count, length);
      double late = (first ? llama : other).step(count, length);
      steps.add(first ? early : late);
      llamas.add(first ? late : early);
      ratios.add((bytes / steps.getLast()) / (llamaBytes / llamas.getLast()));
    }
    return new Entry(
        family.modelType(), type, count, bytes, llamaBytes, steps, llamas, Statistic.of(ratios));
  }

  private void print(List<Entry> entries) {
    output.print("");
    output.print(
        format(
            "decoding, %d threads, %s shape, %d layers; bytes are weights that a step reads; the last column is throughput per byte over Llama's, median and extremes of the rounds",
            threads, preset.title(), shape().layers()));
    output.print("");
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("family", "type", "sequences", "MB/step", "tokens/s", "Llama's", "per byte"));
    for (Entry entry : entries) {
      Statistic ratio = entry.perByte();
      rows.add(
          List.of(
              entry.family(),
              entry.type().toString(),
              Integer.toString(entry.sequences()),
              format("%.1f", entry.bytesOfStep() / 1e6),
              format("%.1f", entry.sequences() / Statistic.of(entry.stepSeconds()).median()),
              format("%.1f", entry.sequences() / Statistic.of(entry.llamaStepSeconds()).median()),
              format("%.2f (%.2f-%.2f)", ratio.median(), ratio.min(), ratio.max())));
    }
    output.table(rows);
  }

  @SuppressWarnings("AnnotateFormatMethod") // patterns stand beside their values here
  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
