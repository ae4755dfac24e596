package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Training that is killed at random moments and started again ends in the same bits as training
 * that is not. {@code -Dlorikeet.kills=20} makes it more kills.
 */
@Timeout(value = 2, unit = TimeUnit.HOURS)
class TrainKillTest {
  private static final int KILLS = Integer.getInteger("lorikeet.kills", 3);
  private static final List<String> TASKS = List.of("sea", "best", "pairs");

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path root;

  private Path tasks() throws IOException {
    StringBuilder texts = new StringBuilder();
    for (String word : List.of("ship", "sea", "whale", "sail", "wind", "rope", "crew")) {
      texts.append("{\"text\": \"The old ").append(word).append(" was seen at sea.\"}\n");
    }
    Files.writeString(root.resolve("sea.jsonl"), texts);
    Files.writeString(
        root.resolve("pairs.jsonl"),
        "{\"prompt\": \"The people\", \"chosen\": \" of the sea\", \"rejected\": \" of the hill\"}\n");
    return Files.writeString(
        root.resolve("tasks.yaml"),
        """
        defaults: {r: 8, learning_rate: 2e-3, batch_size: 2, max_steps: 20, checkpoint_every: 1}
        tasks:
          - {name: sea, data: sea.jsonl, max_grad_norm: 1.0, lr_scheduler_type: cosine}
          - {name: best, data: sea.jsonl, validation: 0.3, validate_every: 2,
             load_best_model_at_end: true, publish_every: 3}
          - {name: pairs, data: pairs.jsonl, objective: dpo, batch_size: 1}
        """);
  }

  private Process train(Path tasks, Path out) throws IOException {
    Path temporary = Files.createDirectories(root.resolve("tmp"));
    List<String> args =
        List.of(
            "train",
            "-m",
            TinyModel.extract().base().toString(),
            "--tasks",
            tasks.toString(),
            "-o",
            out.toString());
    return ChildJvm.of(List.of(), root, temporary, Main.class, args)
        .redirectOutput(root.resolve("output.log").toFile())
        .start();
  }

  private String said() {
    try {
      return "seed " + seed + ": " + Files.readString(root.resolve("output.log"));
    } catch (IOException e) {
      return "seed " + seed + ": " + e;
    }
  }

  @Test
  void aTaskThatIsKilledEndsInTheSameBits() throws Exception {
    Path tasks = tasks();
    Path whole = root.resolve("whole");
    long began = System.nanoTime();
    assertEquals(0, train(tasks, whole).waitFor(), this::said);
    int longest = (int) TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);

    int kills = 0;
    int resumed = 0;
    for (int round = 0; kills < KILLS; round++) {
      Path out = root.resolve("round-" + round);
      boolean done = false;
      while (!done) {
        Process process = train(tasks, out);
        // Most moments that matter are behind the start of the JVM, which takes up to half of it.
        int moment = kills < KILLS ? longest / 3 + random.nextInt(longest) : Integer.MAX_VALUE;
        done = process.waitFor(moment, TimeUnit.MILLISECONDS);
        if (done) {
          assertEquals(0, process.exitValue(), this::said);
        } else {
          process.destroyForcibly().waitFor();
          kills++;
          resumed += Files.exists(out.resolve("sea.checkpoint")) ? 1 : 0;
        }
      }
      for (String task : TASKS) {
        check(whole.resolve(task), out.resolve(task));
        assertTrue(Files.notExists(out.resolve(task + ".checkpoint")), task);
      }
    }
    System.out.println(
        "training killed " + kills + " times, " + resumed + " in the middle, seed " + seed);
  }

  private void check(Path expected, Path found) throws IOException {
    for (String file : List.of("adapter_model.safetensors", "adapter_config.json")) {
      assertArrayEquals(
          Files.readAllBytes(expected.resolve(file)),
          Files.readAllBytes(found.resolve(file)),
          () -> "seed " + seed + ", " + found);
    }
  }
}
