package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Tasks that come, go and are served for a while: every page comes back, and memory stays where it
 * was. {@code -Dlorikeet.soak.minutes=10} makes it longer.
 */
@Timeout(value = 2, unit = TimeUnit.HOURS)
class FineTuningSoakTest {
  private static final int MINUTES = Integer.getInteger("lorikeet.soak.minutes", 0);
  private static final int ROUNDS = 4;

  /** What the process may have grown by between the first third of a long run and its end. */
  private static final long MOST_GROWTH = 64L << 20;

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path folder;

  @Test
  void nothingIsLeftOfTasksThatWereThere() throws IOException {
    Path examples = folder.resolve("examples.jsonl");
    Files.write(
        examples,
        Stream.of("sea", "whale", "ship", "captain", "island")
            .map(word -> "{\"text\": \"" + ("The people of the " + word + ". ").repeat(3) + "\"}")
            .toList());
    long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(MINUTES);
    List<Long> resident = new ArrayList<>();
    try (Lorikeet lorikeet =
            Lorikeet.builder(TinyModel.extract().base()).poolBytes(64L << 20).open();
        FineTuning tuning = FineTuning.over(lorikeet, folder.resolve("out")).share(0.5).open()) {
      for (int round = 0; round < ROUNDS || System.nanoTime() < end; round++) {
        round(lorikeet, tuning, examples, round);
        assertEquals(0, lorikeet.pool().stats().adapterPages(), "seed " + seed);
        residentBytes().ifPresent(resident::add);
      }
    }
    System.out.println(
        "soak, seed " + seed + ": " + resident.size() + " rounds, resident MiB " + shown(resident));
    if (MINUTES > 0 && !resident.isEmpty()) {
      long settled =
          resident.subList(0, resident.size() / 3 + 1).stream().mapToLong(r -> r).max().orElse(0);
      assertTrue(resident.getLast() < settled + MOST_GROWTH, () -> "seed " + seed + resident);
    }
  }

  private static List<Long> shown(List<Long> resident) {
    List<Long> some = new ArrayList<>();
    for (int i = 0; i < resident.size(); i += Math.max(1, resident.size() / 10)) {
      some.add(resident.get(i) >> 20);
    }
    return some;
  }

  /** Returns what the process has in memory, where the system tells. */
  private static java.util.Optional<Long> residentBytes() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.exists(status)) {
      return java.util.Optional.empty();
    }
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("RssAnon:"))
        .map(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
        .findFirst();
  }

  private void round(Lorikeet lorikeet, FineTuning tuning, Path examples, int round) {
    List<TrainingTask> tasks = new ArrayList<>();
    int count = 1 + random.nextInt(4);
    for (int t = 0; t < count; t++) {
      TaskSpec spec =
          TaskSpec.builder("task-" + round + "-" + t)
              .method(
                  new LoraMethod(
                      1 << random.nextInt(5),
                      8,
                      false,
                      LoraMethod.DEFAULT.targets(),
                      Map.of(),
                      Map.of(),
                      1,
                      false))
              .learningRate(1e-3)
              .steps(1 + random.nextInt(12))
              .batchSize(1 + random.nextInt(3))
              .checkpointEvery(random.nextInt(3))
              .publishEvery(random.nextInt(3))
              .keepBest(false)
              .build();
      tasks.add(
          tuning.train(tuning.prepare(TaskFile.Entry.of(spec, examples)), TrainingObserver.NONE));
    }
    List<Generation> requests = new ArrayList<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      requests.add(lorikeet.submit(GenerationRequest.text("The people").maxTokens(8).build()));
    }
    TrainingTask one = tasks.get(random.nextInt(count));
    switch (random.nextInt(3)) {
      case 0 -> one.cancel();
      case 1 -> {
        one.pause();
        one.resume();
      }
      default -> {}
    }
    for (TrainingTask task : tasks) {
      try {
        task.completion().join();
        lorikeet.generate("The people", task.name());
      } catch (CompletionException e) {
        LorikeetException cause = assertInstanceOf(LorikeetException.class, e.getCause());
        assertEquals(Code.CANCELLED, cause.code(), "seed " + seed);
      }
      lorikeet.unregister(task.name());
      assertThrows(
          LorikeetException.class, () -> lorikeet.generate("The people", task.name()), "gone");
    }
    requests.forEach(Generation::await);
  }
}
