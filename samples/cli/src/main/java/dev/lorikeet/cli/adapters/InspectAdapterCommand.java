package dev.lorikeet.cli.adapters;

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
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Tells what an adapter changes. */
@Command(
    name = "inspect",
    sortOptions = false,
    description =
        "Shows an adapter's target modules, ranks, scaling and size. With --model every weight is read and checked against that model, as when it is registered.")
final class InspectAdapterCommand implements Callable<Integer> {
  private final Console console;

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

  @Option(names = "--json", description = "Print JSON, with every target module.")
  private boolean json;

  InspectAdapterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    Directories directories = new Directories(console);
    Path path = directories.adapter(adapter);
    AdapterDescription description = AdapterFiles.describe(path);
    if (model.isPresent()) {
      Path directory = directories.model(model.get());
      AdapterFiles.inspect(
          path, console.plugins().get().baseModel(baseModel).describe(directory).shape());
    }
    AdapterReport report = AdapterReport.of(path, description);
    if (json) {
      Json.print(
          console.out(), new AdapterDetails(report, model.isPresent(), targets(description)));
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
    Table.print(console.out(), rows);
  }

  private static List<String> row(TargetSpec target) {
    return List.of(
        target.target().projection().moduleName(),
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
