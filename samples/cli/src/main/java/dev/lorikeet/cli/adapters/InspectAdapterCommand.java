package dev.lorikeet.cli.adapters;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.AdapterDescription;
import dev.lorikeet.arrow.AdapterFiles;
import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.Directories;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Tells what an adapter changes. */
@Command(
    name = "inspect",
    sortOptions = false,
    description =
        "Shows an adapter's target modules, ranks, scaling and size. With --model every weight is read and checked against that model, as when it is registered.")
final class InspectAdapterCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "ADAPTER",
      description = "PEFT directory, GGUF or Arrow file, or owner/name.")
  private Path adapter = Path.of("");

  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      description = "Hugging Face directory, or owner/name, of a base model to check against.")
  private Optional<Path> model = Optional.empty();

  @Option(
      names = "--base-model",
      paramLabel = "NAME",
      description = "Base model plugin that reads the model's sizes.")
  private Optional<String> baseModel = Optional.empty();

  @Mixin private CheckOptions checks = new CheckOptions();

  @Option(names = "--json", description = "Print JSON, with every target module.")
  private boolean json;

  InspectAdapterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    if (checks.strict() && model.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "--strict: expected --model as well, whose modules are counted");
    }
    Directories directories = new Directories(console);
    Path path = directories.adapter(adapter);
    AdapterDescription description = AdapterFiles.describe(path, checks.withoutModel());
    if (model.isPresent()) {
      Path directory = directories.model(model.get());
      AdapterFiles.inspect(
          path,
          console.plugins().get().baseModel(baseModel).describe(directory).shape(),
          checks.checks());
    }
    AdapterReport report = AdapterReport.of(path, description);
    if (json) {
      Json.print(
          console.out(),
          new AdapterDetails(
              report,
              model.isPresent(),
              targets(description),
              description.parts().stream().map(AdapterDetails.Part::of).toList()));
    } else {
      text(report, description);
    }
    return ExitCode.OK;
  }

  private static List<AdapterDetails.Target> targets(AdapterDescription description) {
    return description.targets().stream().map(AdapterDetails.Target::of).toList();
  }

  private void text(AdapterReport report, AdapterDescription description) {
    List<List<String>> head = new ArrayList<>();
    head.add(List.of("adapter", Visible.oneLine(report.path())));
    head.add(List.of("format", report.format()));
    head.add(List.of("base model", report.baseModelText()));
    head.add(List.of("weights", report.type() + ", " + ByteSize.text(report.bytes())));
    model.ifPresent(
        dir -> head.add(List.of("checked", "all weights, against " + Visible.oneLine("" + dir))));
    Table.print(console.out(), head);
    console.out().println();

    // Layers mostly look alike: one row for all modules that differ in nothing but the layer.
    Map<List<String>, List<Integer>> alike = new LinkedHashMap<>();
    for (TargetSpec target : description.targets()) {
      alike.computeIfAbsent(row(target), row -> new ArrayList<>()).add(target.target().layer());
    }
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("MODULE", "A", "B", "RANK", "SCALING", "TYPE", "BYTES", "LAYERS"));
    alike.forEach(
        (row, layers) -> {
          List<String> cells = new ArrayList<>(row);
          cells.add(Layers.text(layers));
          rows.add(cells);
        });
    if (rows.size() > 1) {
      Table.print(console.out(), rows);
    }
    parts(description);
  }

  /** What is beside the factors, likewise. */
  private void parts(AdapterDescription description) {
    Map<List<String>, List<Integer>> alike = new LinkedHashMap<>();
    for (PartSpec part : description.parts()) {
      alike.computeIfAbsent(row(part), row -> new ArrayList<>()).add(part.target().layer());
    }
    if (alike.isEmpty()) {
      return;
    }
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("MODULE", "BESIDE", "SIZE", "TYPE", "BYTES", "LAYERS"));
    alike.forEach(
        (row, layers) -> {
          List<String> cells = new ArrayList<>(row);
          cells.add(Layers.text(layers));
          rows.add(cells);
        });
    console.out().println();
    Table.print(console.out(), rows);
  }

  private static List<String> row(PartSpec part) {
    return List.of(
        part.target().projection().moduleName(),
        part.kind().name().toLowerCase(Locale.ROOT),
        part.rows() + " x " + part.columns(),
        part.type().name(),
        Long.toString(part.bytes()));
  }

  private static List<String> row(TargetSpec target) {
    return List.of(
        target.target().projection().moduleName() + (target.magnitude() ? " (DoRA)" : ""),
        target.rank() + " x " + target.inFeatures() + blocks(target.aBlocks()),
        target.outFeatures() + " x " + target.rank() + blocks(target.bBlocks()),
        Integer.toString(target.rank()),
        String.format(Locale.ROOT, "%.4g", target.scaling()),
        target.type().name(),
        Long.toString(target.bytes()));
  }

  private static String blocks(int blocks) {
    return blocks == 1 ? "" : " in " + blocks + " blocks";
  }
}
