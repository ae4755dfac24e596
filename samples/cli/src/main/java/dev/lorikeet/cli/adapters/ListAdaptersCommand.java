package dev.lorikeet.cli.adapters;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.arrow.AdapterChecks;
import dev.lorikeet.arrow.AdapterFiles;
import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.LinkOptions;
import dev.lorikeet.files.gguf.GgufAdapterFile;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Finds adapters below a directory. */
@Command(
    name = "list",
    sortOptions = false,
    description =
        "Lists all adapters below a directory: PEFT directories, GGUF and Arrow files. Reads what they say of themselves, not their weights.")
final class ListAdaptersCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "DIR",
      arity = "0..1",
      defaultValue = ".",
      description = "Where to look; here if not given.")
  private Path directory = Path.of("");

  @Mixin private LinkOptions links = new LinkOptions();

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  ListAdaptersCommand(Console console) {
    this.console = console;
  }

  /** Either a report, or why there is none. */
  private record Entry(
      String path, @Nullable AdapterReport adapter, Json.@Nullable Problem problem) {}

  private record Entries(List<Entry> adapters) {}

  @Override
  public Integer call() throws IOException {
    if (!Files.isDirectory(directory)) {
      throw new ParameterException(
          spec.commandLine(), "DIR: expected a directory, found " + directory);
    }
    AdapterChecks checks = new AdapterChecks(false, links.folders());
    List<Entry> entries = find().stream().sorted().map(path -> entry(path, checks)).toList();
    if (json) {
      Json.print(console.out(), new Entries(entries));
    } else if (entries.isEmpty()) {
      console.out().println("none below " + Visible.oneLine(directory.toString()));
    } else {
      Table.print(console.out(), rows(entries));
    }
    return entries.stream().anyMatch(e -> e.problem() != null) ? ExitCode.FAILURE : ExitCode.OK;
  }

  private List<Path> find() throws IOException {
    List<Path> found = new ArrayList<>();
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            String name = String.valueOf(file.getFileName());
            if (name.equals("adapter_config.json")) {
              Path parent = file.getParent();
              found.add(parent == null ? Path.of(".") : parent);
            } else if (attributes.isRegularFile()
                && (name.endsWith(".arrow") || GgufAdapterFile.isAdapter(file))) {
              found.add(file);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException failure) {
            console.err().println("lorikeet: skipped " + Visible.oneLine(failure.toString()));
            return FileVisitResult.CONTINUE;
          }
        });
    return found;
  }

  private static Entry entry(Path path, AdapterChecks checks) {
    try {
      return new Entry(
          path.toString(), AdapterReport.of(path, AdapterFiles.describe(path, checks)), null);
    } catch (LorikeetException e) {
      return new Entry(path.toString(), null, Json.Problem.of(e));
    }
  }

  private static List<List<String>> rows(List<Entry> entries) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("ADAPTER", "FORMAT", "RANK", "MODULES", "TYPE", "SIZE", "BASE MODEL"));
    for (Entry entry : entries) {
      String path = Visible.oneLine(entry.path());
      AdapterReport report = entry.adapter();
      Json.Problem problem = entry.problem();
      if (report != null) {
        rows.add(
            List.of(
                path,
                report.format(),
                report.rank(),
                Integer.toString(report.modules()),
                report.type(),
                ByteSize.text(report.bytes()),
                report.baseModelText()));
      } else if (problem != null) {
        rows.add(List.of(path, problem.code() + ": " + Visible.oneLine(problem.message())));
      }
    }
    return rows;
  }
}
