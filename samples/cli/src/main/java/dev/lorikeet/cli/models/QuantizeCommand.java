package dev.lorikeet.cli.models;

import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.jlama.quantize.Quantizer;
import dev.lorikeet.shape.ModelInfo;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Writes a model with quantized weights. */
@Command(
    name = "quantize",
    sortOptions = false,
    description =
        "Writes a model with its matrices in Jlama's Q4: blocks of 32 values of 4 bits with one scale, five bits a value. Norms and biases stay as they are. The result is checked before it is there.")
public final class QuantizeCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(paramLabel = "MODEL", description = "Hugging Face directory of a model, or its name.")
  private Path model = Path.of("");

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      description = "Directory to write; MODEL-JQ4 by default.")
  private Optional<Path> output = Optional.empty();

  @Option(
      names = "--type",
      paramLabel = "Q4",
      description = "How weights are stored (${DEFAULT-VALUE}).")
  private Type type = Type.Q4;

  @Option(names = "--force", description = "Replace the model if there is one.")
  private boolean force;

  @Option(names = "--json", description = "Print what was written as JSON.")
  private boolean json;

  /** Creates the command. */
  public QuantizeCommand(Console console) {
    this.console = console;
  }

  /** The forms that Jlama can quantize to and Lorikeet reads. */
  private enum Type {
    Q4
  }

  /**
   * What was written, and its keys in JSON.
   *
   * @param path where it is
   * @param family the value of {@code model_type}
   * @param type how most weights are stored
   * @param bytes what the weight files take
   */
  private record Written(String path, String family, String type, long bytes) {}

  @Override
  public Integer call() throws IOException {
    ModelInfo info = quantize();
    Path directory = info.directory();
    Written written =
        new Written(directory.toString(), info.family(), info.weightType(), bytes(directory));
    if (json) {
      Json.print(console.out(), written);
    } else {
      console
          .out()
          .println(
              Visible.oneLine(model.toString())
                  + " -> "
                  + Visible.oneLine(written.path())
                  + ": "
                  + written.family()
                  + ", "
                  + written.type()
                  + ", "
                  + ByteSize.text(written.bytes()));
    }
    return ExitCode.OK;
  }

  private ModelInfo quantize() throws IOException {
    Path source = new Directories(console).model(model);
    try {
      Path target = output.isPresent() ? output.get() : Quantizer.defaultTarget(source);
      return switch (type) {
        case Q4 -> Quantizer.quantize(source, target, force);
      };
    } catch (FileAlreadyExistsException e) {
      throw new ParameterException(
          spec.commandLine(), "DIR: expected no model there, or --force, found " + e.getFile(), e);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), "DIR: " + e.getMessage(), e);
    }
  }

  private static long bytes(Path directory) throws IOException {
    long bytes = 0;
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }
}
