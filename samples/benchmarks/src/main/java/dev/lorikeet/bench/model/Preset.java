package dev.lorikeet.bench.model;

import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Sizes of Llama models that people use on CPUs. */
public enum Preset {
  /** A model for quick runs: about 8 M parameters. */
  TINY("8m"),
  /** SmolLM2 135M. */
  M135("135m"),
  /** TinyLlama 1.1B. */
  B1("1.1b");

  private static final long SEED = 1;

  private final String title;

  Preset(String title) {
    this.title = title;
  }

  /** Returns the preset of a name such as {@code 135m}. */
  public static Optional<Preset> of(String name) {
    String wanted = name.toLowerCase(Locale.ROOT);
    return Stream.of(values()).filter(preset -> preset.title.equals(wanted)).findFirst();
  }

  /** Returns the name. */
  public String title() {
    return title;
  }

  /** Returns the sizes. */
  public ModelShape shape() {
    return switch (this) {
      case TINY ->
          ModelShape.builder()
              .layers(6)
              .hidden(256)
              .intermediate(768)
              .heads(4)
              .kvHeads(2)
              .headDim(64)
              .vocabulary(8192)
              .build();
      case M135 ->
          ModelShape.builder()
              .layers(30)
              .hidden(576)
              .intermediate(1536)
              .heads(9)
              .kvHeads(3)
              .headDim(64)
              .vocabulary(49_152)
              .build();
      case B1 ->
          ModelShape.builder()
              .layers(22)
              .hidden(2048)
              .intermediate(5632)
              .heads(32)
              .kvHeads(4)
              .headDim(64)
              .vocabulary(32_000)
              .build();
    };
  }

  /**
   * Returns the directory of the random model of this size below a folder; makes it if it is not
   * there.
   *
   * @param says hears of what is made
   */
  public Path model(Path folder, Consumer<String> says) throws IOException {
    Path directory = folder.resolve("model");
    WholeFolder.make(directory, says, target -> RandomWeights.writeModel(target, shape(), SEED));
    return directory;
  }

  /** Reads a preset from the command line. */
  public static final class Converter implements ITypeConverter<Preset> {
    @Override
    public Preset convert(String name) {
      return of(name)
          .orElseThrow(
              () -> new TypeConversionException("expected 8m, 135m or 1.1b, found " + name));
    }
  }
}
