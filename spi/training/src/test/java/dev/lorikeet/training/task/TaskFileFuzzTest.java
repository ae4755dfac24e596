package dev.lorikeet.training.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.training.data.Damage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage to lists of tasks: they are refused as the API says, or read. More of it with
 * {@code -Dlorikeet.fuzz.mutations=N}, the same again with {@code -Dlorikeet.fuzz.seed=N}.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class TaskFileFuzzTest {
  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 500);
  private static final String YAML =
      """
      # what both have
      defaults:
        r: 4
        target_modules: [q_proj, v_proj]
        learning_rate: 1e-4
        num_train_epochs: 3
        validation: 0.1
      tasks:
        - name: "a"
          data: a.jsonl
          method: [rslora, lora+]
          rank_pattern: {q_proj: 8}
          dtype: bfloat16
        - name: b
          data: >-
            folded
            path
          objective: dpo
          beta: 0.1
          max_steps: 7
          optimizer: sgd
          validation: ~
      """;
  private static final String JSON =
      """
      {"defaults": {"r": 4, "lr_scheduler_type": "cosine", "warmup_steps": 3},
       "tasks": [{"name": "a", "data": "a.jsonl", "method": "block-diagonal", "nblocks": 2},
                 {"name": "b", "data": "b.jsonl", "start": "old", "priority": -1}]}
      """;

  @TempDir Path folder;

  @Test
  void damagedFilesAreReadOrRefused() throws IOException {
    long seed = Long.getLong("lorikeet.fuzz.seed", new Random().nextLong());
    Random random = new Random(seed);
    Damage damage = new Damage(random);
    int refused = 0;
    for (int n = 0; n < MUTATIONS; n++) {
      boolean yaml = random.nextInt(4) > 0;
      byte[] changed = damage.of((yaml ? YAML : JSON).getBytes(StandardCharsets.UTF_8));
      Path file = folder.resolve(yaml || random.nextBoolean() ? "tasks.yaml" : "tasks.json");
      Files.write(file, changed);
      String report =
          "seed " + seed + ", mutation " + n + ": " + new String(changed, StandardCharsets.UTF_8);
      try {
        TaskFile.read(file).forEach(entry -> entry.spec(7));
      } catch (LorikeetException e) {
        assertEquals(LorikeetException.Code.INVALID_CONFIG, e.code(), report);
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError(report, e);
      }
    }
    assertTrue(refused > MUTATIONS / 10, refused + " refused, seed " + seed);
  }
}
