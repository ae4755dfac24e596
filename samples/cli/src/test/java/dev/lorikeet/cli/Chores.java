package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * All that writes files: converting, quantizing, training, downloading, exporting and unpacking.
 * What they read lies in a folder {@code in}, and what each may write, to compare with, in {@code
 * expected}, both made once by {@link #prepare}.
 */
final class Chores {
  static final String REPOSITORY = "some/adapter";

  private final Path in;
  private final Path expected;
  private final Path work;
  private final String endpoint;

  /**
   * Creates them.
   *
   * @param work where they write
   * @param endpoint the hub's address
   */
  Chores(Path root, Path work, String endpoint) {
    this.in = root.resolve("in");
    this.expected = root.resolve("expected");
    this.work = work;
    this.endpoint = endpoint;
  }

  /** Makes what they read, and all that they may write. */
  void prepare() throws IOException {
    ChoreInputs.write(in);
    for (Chore chore :
        List.of(new Convert(expected), new Quantize(expected), new Train(expected))) {
      for (int turn = 0; turn < 2; turn++) {
        Alternating alternating = (Alternating) chore;
        Files.createDirectories(alternating.folder());
        assertEquals(ExitCode.OK, chore.run(turn), chore.name());
        Files.move(alternating.folder(), expected.resolve(alternating.name() + turn));
      }
    }
    export(expected).run(0);
    TuneChore.writeInputs(in);
    assertEquals(ExitCode.OK, tune(expected).run(0), "tune");
  }

  static List<Path> files(Path folder) throws IOException {
    List<Path> files = new ArrayList<>();
    try (DirectoryStream<Path> found = Files.newDirectoryStream(folder)) {
      found.forEach(files::add);
    }
    return files;
  }

  List<Chore> all() throws IOException {
    List<Chore> chores =
        List.of(
            new Convert(work),
            new Quantize(work),
            new Train(work),
            new Pull(work),
            export(work),
            new UnpackChore(work),
            tune(work));
    for (Chore chore : chores) {
      Files.createDirectories(chore.folder());
    }
    return chores;
  }

  private Chore export(Path around) {
    return new ExportChore(around, expected.resolve("export/adapter0"));
  }

  private Chore tune(Path around) {
    return new TuneChore(around, in, expected.resolve("tune/out"), this::exitCode);
  }

  /** Returns the commands that write nothing. */
  List<Chore> talks() {
    List<String> generate =
        List.of(
            "generate",
            "-m",
            in.resolve("model0").toString(),
            "-a",
            "a=" + in.resolve(ChoreInputs.EXPERTS.getFirst()),
            "--each",
            "-p",
            "The sea",
            "-n",
            "200",
            "--ignore-eos",
            "--pool-size",
            "64M");
    List<String> demo = List.of("demo", "-p", "The sea", "-n", "60");
    return List.of(
        new TalkChore("generate", work, generate, this::exitCode),
        new TalkChore("demo", work, demo, this::exitCode));
  }

  private Run lorikeet(List<String> command) {
    return Run.in(
        Map.of(
            "HF_ENDPOINT",
            endpoint,
            "JLAMA_MODEL_HOME",
            work.resolve("pull").toString(),
            "HF_HOME",
            work.resolve("hf").toString()),
        Plugins::discover,
        command.toArray(String[]::new));
  }

  private int exitCode(List<String> command) {
    Run run = lorikeet(command);
    if (run.exitCode() != ExitCode.OK) {
      System.out.println(command.getFirst() + ": " + run.err());
    }
    return run.exitCode();
  }

  /** Replaces one of two results by the other. */
  private abstract class Alternating implements Chore {
    private final String name;
    private final Path folder;

    Alternating(String name, Path around) {
      this.name = name;
      this.folder = around.resolve(name);
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public Path folder() {
      return folder;
    }

    @Override
    public int run(int turn) {
      return exitCode(command(turn));
    }

    /** Returns what a reader sees of a folder. */
    Map<String, String> seen(Path place) throws IOException {
      Map<String, String> seen = new TreeMap<>(Snapshot.of(place).files());
      seen.keySet().removeIf(file -> file.startsWith("."));
      return seen;
    }

    private List<Map<String, String>> results() throws IOException {
      return List.of(seen(expected.resolve(name + 0)), seen(expected.resolve(name + 1)));
    }

    @Override
    public void checkWhole() throws IOException {
      Map<String, String> seen = seen(folder);
      boolean neverFinished = !Files.exists(folder.resolveSibling(name + ".finished"));
      assertTrue(
          results().contains(seen) || (neverFinished && seen.isEmpty()),
          () -> name + ": neither the old nor the new result, nor nothing: " + seen);
    }

    @Override
    public void checkClean() throws IOException {
      Map<String, String> seen = seen(folder);
      assertTrue(results().contains(seen), () -> name + ": " + seen);
      Set<String> there = new TreeSet<>();
      files(folder).forEach(file -> there.add(file.getFileName().toString()));
      assertEquals(top(), there, name + ": what is left beside the result");
      Path finished = folder.resolveSibling(name + ".finished");
      if (!Files.exists(finished)) {
        Files.createFile(finished);
      }
    }

    abstract Set<String> top() throws IOException;
  }

  private final class Convert extends Alternating {
    Convert(Path around) {
      super("convert", around);
    }

    @Override
    public List<String> command(int turn) {
      return List.of(
          "adapters",
          "convert",
          in.resolve(ChoreInputs.EXPERTS.get(turn % 2)).toString(),
          folder().resolve("adapter.arrow").toString(),
          "--force",
          "--model",
          in.resolve("model0").toString());
    }

    @Override
    Set<String> top() {
      return Set.of("adapter.arrow");
    }

    @Override
    public long bytes() {
      return 700_000;
    }
  }

  private final class Quantize extends Alternating {
    Quantize(Path around) {
      super("quantize", around);
    }

    @Override
    public List<String> command(int turn) {
      return List.of(
          "quantize",
          in.resolve("model" + turn % 2).toString(),
          "--force",
          "--output",
          folder().resolve("model").toString());
    }

    @Override
    Set<String> top() {
      return Set.of("model");
    }

    @Override
    public long bytes() {
      return 9_000_000;
    }
  }

  private final class Train extends Alternating {
    private static final String WEIGHTS = "the weights";

    Train(Path around) {
      super("train", around);
    }

    @Override
    public List<String> command(int turn) {
      List<String> command =
          new ArrayList<>(List.of("router", "train", "--epochs", "1", "--top-k", "1", "--force"));
      command.addAll(List.of("--seed", String.valueOf(turn % 2), "--threads", "1"));
      command.addAll(List.of("--targets", "labels", "--pool-size", "32M"));
      command.addAll(List.of("--out", folder().toString()));
      command.addAll(List.of("--model", in.resolve("model0").toString()));
      for (String name : ChoreInputs.EXPERTS) {
        command.add("--adapter=" + name + "=" + in.resolve(name));
        command.add("--text=" + name + "=" + in.resolve(name + ".txt"));
      }
      return command;
    }

    private Optional<String> weights(Path gate) throws IOException {
      Path json = gate.resolve("router.json");
      return Files.exists(json)
          ? Optional.of(
              new ObjectMapper()
                  .readTree(json.toFile())
                  .path("weights")
                  .asText("router.safetensors"))
          : Optional.empty();
    }

    @Override
    Map<String, String> seen(Path gate) throws IOException {
      Optional<String> weights = weights(gate);
      if (weights.isEmpty()) {
        return Map.of();
      }
      Map<String, String> seen = new TreeMap<>();
      ObjectNode json =
          (ObjectNode) new ObjectMapper().readTree(gate.resolve("router.json").toFile());
      json.remove("weights");
      seen.put("router.json", Snapshot.checksum(json.toString().getBytes(ISO_8859_1)));
      Path file = gate.resolve(weights.get());
      if (Files.exists(file)) {
        seen.put(WEIGHTS, Snapshot.checksum(Files.readAllBytes(file)));
      }
      return seen;
    }

    @Override
    Set<String> top() throws IOException {
      return Set.of("router.json", weights(folder()).orElseThrow());
    }

    @Override
    public long bytes() {
      return 20_000;
    }
  }

  /** Downloads under a new name each time. */
  private final class Pull implements Chore {
    private final Path folder;

    Pull(Path around) {
      this.folder = around.resolve("pull");
    }

    @Override
    public String name() {
      return "pull";
    }

    @Override
    public Path folder() {
      return folder;
    }

    @Override
    public List<String> command(int turn) {
      return List.of("pull", "--adapter", REPOSITORY + turn);
    }

    @Override
    public int run(int turn) {
      return exitCode(command(turn));
    }

    private Snapshot whole() throws IOException {
      return Snapshot.of(in.resolve(ChoreInputs.EXPERTS.getFirst()));
    }

    private static Map<String, String> shown(Path directory) throws IOException {
      Map<String, String> shown = new TreeMap<>(Snapshot.of(directory).files());
      shown.keySet().removeIf(file -> file.endsWith(".part") || file.startsWith(".lo"));
      return shown;
    }

    @Override
    public void checkWhole() throws IOException {
      for (Path directory : files(folder)) {
        Map<String, String> shown = shown(directory);
        boolean finished = shown.remove(".finished") != null;
        assertTrue(
            finished
                ? shown.equals(whole().files())
                : whole().files().entrySet().containsAll(shown.entrySet()),
            () -> directory + ": " + shown);
      }
    }

    /** Takes up every download that was broken off, as a user does, and looks at all. */
    @Override
    public void checkClean() throws IOException {
      for (Path directory : files(folder)) {
        String name = directory.getFileName().toString().replaceFirst("_", "/");
        assertEquals(ExitCode.OK, exitCode(List.of("pull", "--adapter", name)), name);
        Map<String, String> there = new TreeMap<>(Snapshot.of(directory).files());
        there.remove(".finished");
        there.remove(".lock");
        assertEquals(whole().files(), there, "what is left beside " + name);
        delete(directory);
      }
    }

    @Override
    public long bytes() {
      return 500_000;
    }
  }

  static void delete(Path directory) throws IOException {
    try (var found = Files.walk(directory)) {
      for (Path file : found.sorted((a, b) -> b.getNameCount() - a.getNameCount()).toList()) {
        Files.delete(file);
      }
    }
  }
}
