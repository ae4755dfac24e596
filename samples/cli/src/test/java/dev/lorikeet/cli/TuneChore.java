package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToIntFunction;

/**
 * Fine-tunes two adapters with checkpoints, from where the process before was ended. What comes of
 * it is the same, bit for bit, however often that was.
 */
final class TuneChore implements Chore {
  private static final List<String> TASKS = List.of("sea", "best");

  private final Path folder;
  private final Path in;
  private final Path right;
  private final ToIntFunction<List<String>> lorikeet;

  /**
   * Creates it.
   *
   * @param around where it writes
   * @param in what it reads
   * @param right what it is to write
   * @param lorikeet runs a command
   */
  TuneChore(Path around, Path in, Path right, ToIntFunction<List<String>> lorikeet) {
    this.folder = around.resolve("tune");
    this.in = in;
    this.right = right;
    this.lorikeet = lorikeet;
  }

  /** Writes what it reads. */
  static void writeInputs(Path in) throws IOException {
    StringBuilder texts = new StringBuilder();
    for (String word : List.of("ship", "sea", "whale", "sail")) {
      texts.append("{\"text\": \"The old ").append(word).append(" was seen.\"}\n");
    }
    Files.writeString(in.resolve("sea.jsonl"), texts);
    Files.writeString(
        in.resolve("tasks.yaml"),
        """
        defaults: {r: 8, learning_rate: 2e-3, batch_size: 2, max_steps: 4, checkpoint_every: 1}
        tasks:
          - {name: sea, data: sea.jsonl, max_grad_norm: 1.0}
          - {name: best, data: sea.jsonl, validation: 0.3, validate_every: 2,
             load_best_model_at_end: true}
        """);
  }

  private Path out() {
    return folder.resolve("out");
  }

  @Override
  public String name() {
    return "tune";
  }

  @Override
  public Path folder() {
    return folder;
  }

  /** Puts away what is done, so that there is something to do. */
  @Override
  public void begin() throws IOException {
    Path old = folder.resolve("old");
    if (Files.exists(old)) {
      Chores.delete(old);
    }
    if (isDone()) {
      Files.move(out(), old, StandardCopyOption.ATOMIC_MOVE);
      Chores.delete(old);
    }
  }

  private boolean isDone() {
    return TASKS.stream()
        .allMatch(
            task ->
                Files.exists(out().resolve(task))
                    && Files.notExists(out().resolve(task + ".checkpoint")));
  }

  @Override
  public List<String> command(int turn) {
    return List.of(
        "train",
        "-m",
        in.resolve("model0").toString(),
        "--threads",
        "1",
        "--tasks",
        in.resolve("tasks.yaml").toString(),
        "-o",
        out().toString());
  }

  @Override
  public int run(int turn) throws IOException {
    begin();
    return lorikeet.applyAsInt(command(turn));
  }

  private static Map<String, String> adapters(Path out) throws IOException {
    Map<String, String> adapters = new TreeMap<>();
    for (String task : TASKS) {
      Snapshot.of(out.resolve(task))
          .files()
          .forEach((file, content) -> adapters.put(task + "/" + file, content));
    }
    return adapters;
  }

  @Override
  public void checkWhole() throws IOException {
    for (String task : TASKS) {
      Snapshot seen = Snapshot.of(out().resolve(task));
      assertTrue(
          seen.files().isEmpty() || seen.equals(Snapshot.of(right.resolve(task))),
          () -> task + ": neither nothing nor the right adapter: " + seen);
    }
  }

  @Override
  public void checkClean() throws IOException {
    assertEquals(adapters(right), adapters(out()), "trained again and again");
    TreeSet<String> left = new TreeSet<>(Snapshot.of(out()).files().keySet());
    left.removeAll(Snapshot.of(right).files().keySet());
    assertEquals(new TreeSet<>(), left, "left beside what was trained");
  }

  @Override
  public long bytes() {
    return 400_000;
  }
}
