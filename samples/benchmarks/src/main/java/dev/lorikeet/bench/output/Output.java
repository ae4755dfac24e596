package dev.lorikeet.bench.output;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a benchmark keeps its files and how it shows what it does; options of every benchmark. */
public final class Output {
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .findAndAddModules()
          .build();

  @Option(
      names = "--data",
      paramLabel = "DIR",
      defaultValue = "${sys:lorikeet.bench.target:-target}/data",
      description = "Where models and adapters are kept between runs (${DEFAULT-VALUE}).")
  private Path data = Path.of("");

  @Option(
      names = "--output",
      paramLabel = "FILE",
      description = "JSON file to write; by default a new one in the folder of results.")
  private Optional<Path> output = Optional.empty();

  /** Returns the folder of models and adapters, which exists then. */
  public Path data() throws IOException {
    return Files.createDirectories(data);
  }

  /** Says what is being done, on the error stream. */
  public void says(String what) {
    System.err.println("bench: " + what);
  }

  /** Prints a line of the result. */
  public void print(String line) {
    System.out.println(line);
  }

  /** Prints rows in columns as wide as they need to be; columns after the first to the right. */
  public void table(List<List<String>> rows) {
    int columns = rows.stream().mapToInt(List::size).max().orElse(0);
    int[] widths =
        IntStream.range(0, columns)
            .map(
                c ->
                    rows.stream()
                        .mapToInt(row -> c < row.size() ? row.get(c).length() : 0)
                        .max()
                        .orElse(0))
            .toArray();
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int c = 0; c < row.size(); c++) {
        String padding = " ".repeat(widths[c] - row.get(c).length());
        line.append(c == 0 ? row.get(c) + padding : padding + row.get(c)).append("  ");
      }
      System.out.println(line.toString().stripTrailing());
    }
  }

  /** Returns the JSON file to write, whose folder exists then. */
  public Path file(String benchmark) throws IOException {
    Path file =
        output.orElseGet(
            () ->
                data.resolveSibling("results")
                    .resolve(
                        benchmark
                            + "-"
                            + LocalDateTime.now(ZoneId.systemDefault())
                                .format(DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss"))
                            + ".json"));
    Path parent = file.toAbsolutePath().getParent();
    if (parent != null) {
      Files.createDirectories(parent);
    }
    return file;
  }

  /** Writes a report as JSON; record components become keys in snake case. */
  public void write(Path file, Object report) throws IOException {
    Files.writeString(file, MAPPER.writeValueAsString(report) + "\n");
    print("");
    print("written: " + file);
  }

  /** Draws an image. */
  public interface Drawing {
    /** Writes it. */
    void write(Path file) throws IOException;
  }

  /**
   * Draws an image beside a JSON file.
   *
   * @return its path, or null where it can't be drawn
   */
  public @Nullable String image(Path json, Drawing drawing) {
    Path image = Path.of(json.toString().replaceFirst("\\.json$", "") + ".png");
    try {
      drawing.write(image);
      return image.toString();
    } catch (IOException | RuntimeException | LinkageError e) {
      says("no plot: " + e); // a JDK without fonts can't draw
      return null;
    }
  }

  /** Shows how far a benchmark is: as a bar on a terminal, else nowhere. */
  public Optional<ProgressBar> progress(String task, long steps) {
    boolean terminal =
        Optional.ofNullable(System.console()).filter(c -> c.isTerminal()).isPresent();
    return terminal
        ? Optional.of(new ProgressBarBuilder().setTaskName(task).setInitialMax(steps).build())
        : Optional.empty();
  }
}
