package dev.lorikeet.cli.adapters;

import dev.lorikeet.arrow.AdapterFiles;
import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Writes an adapter as an Arrow file. */
@Command(
    name = "convert",
    sortOptions = false,
    description =
        "Checks an adapter against its base model and writes it as one Arrow IPC file, which loads without conversion and can be used as it lies in memory.")
final class ConvertAdapterCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      index = "0",
      paramLabel = "ADAPTER",
      description = "PEFT directory, GGUF or Arrow file, or owner/name.")
  private Path adapter = Path.of("");

  @Parameters(
      index = "1",
      paramLabel = "FILE",
      description = "File to write; its name ends in .arrow.")
  private Path file = Path.of("");

  @Option(
      names = {"-m", "--model"},
      required = true,
      paramLabel = "DIR",
      description = "Hugging Face directory, or owner/name, of the base model.")
  private Path model = Path.of("");

  @Mixin private CheckOptions checks = new CheckOptions();

  @Option(names = "--force", description = "Replace the file if there is one.")
  private boolean force;

  @Option(
      names = "--base-model",
      paramLabel = "NAME",
      description = "Base model plugin that reads the model's sizes.")
  private Optional<String> baseModel = Optional.empty();

  @Option(names = "--json", description = "Print what was written as JSON.")
  private boolean json;

  ConvertAdapterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() throws IOException {
    if (!file.toString().endsWith(".arrow")) {
      throw new ParameterException(
          spec.commandLine(), "FILE: expected a name that ends in .arrow, found " + file);
    }
    if (!force && Files.exists(file)) {
      throw new ParameterException(
          spec.commandLine(), "FILE: expected no file there, or --force, found " + file);
    }
    Directories directories = new Directories(console);
    Path directory = directories.model(model);
    ModelShape shape = console.plugins().get().baseModel(baseModel).describe(directory).shape();
    AdapterFiles.convert(directories.adapter(adapter), shape, file, checks.checks());
    AdapterReport report = AdapterReport.of(file, AdapterFiles.describe(file));
    if (json) {
      Json.print(console.out(), report);
    } else {
      console
          .out()
          .println(
              Visible.oneLine(adapter.toString())
                  + " -> "
                  + Visible.oneLine(file.toString())
                  + ": "
                  + report.modules()
                  + " modules, rank "
                  + report.rank()
                  + ", "
                  + ByteSize.text(Files.size(file)));
    }
    return ExitCode.OK;
  }
}
