package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files of weights that change under a model that serves. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ChangedWeightsTest {
  private static final String WEIGHTS = "model.safetensors";

  @TempDir Path directory;
  private Path model;
  private Path other;

  @BeforeEach
  void write() {
    model = random(3).write(directory.resolve("model"));
    other = random(4).write(directory.resolve("other"));
  }

  private static RandomModel random(long seed) {
    return RandomModel.llama(seed).widths(64, 96).heads(4, 4).type(ElementType.BF16);
  }

  private static Lorikeet open(Path model, String weights) {
    return Lorikeet.builder(model)
        .poolBytes(16L << 20)
        .modelOption("threads", "1")
        .modelOption("weights", weights)
        .open();
  }

  private interface Change {
    void apply(Path file) throws IOException;
  }

  private static void answersUntilRefused(Lorikeet lorikeet) {
    for (int i = 0; i < 10_000; i++) {
      try {
        lorikeet.generate("The land");
      } catch (LorikeetException e) {
        return;
      }
    }
    fail("10,000 answers with changed weights");
  }

  private void assertEnds(Path file, Change change, String found) throws IOException {
    try (Lorikeet lorikeet = open(model, "mapped");
        Lorikeet beside = open(other, "mapped")) {
      String before = beside.generate("The sea");
      lorikeet.generate("The sea");
      long size = Files.size(file);
      change.apply(file);
      if (Files.size(file) == size) { // then its time tells, which is not looked at every time
        answersUntilRefused(lorikeet);
      }
      for (int i = 0; i < 2; i++) {
        var error = assertThrows(LorikeetException.class, () -> lorikeet.generate("The land"));
        String message = String.valueOf(error.getMessage());
        assertTrue(message.contains(file.toString()) && message.contains(found), message);
        assertTrue(message.contains("weights=copied"), message);
        assertEquals(Code.MODEL_INVALID, error.code());
      }
      assertEquals(before, beside.generate("The sea"), "others go on");
    }
  }

  @Test
  void weightsThatWereCutEndTheModelWithTheReason() throws IOException {
    assertEnds(
        model.resolve(WEIGHTS),
        file -> {
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(4096);
          }
        },
        "found 4096 bytes");
  }

  @Test
  void weightsThatWereOverwrittenInPlaceEndTheModelWithTheReason() throws IOException {
    byte[] bytes = Files.readAllBytes(other.resolve(WEIGHTS));
    assertEnds(
        model.resolve(WEIGHTS),
        file -> Files.write(file, bytes),
        "found " + bytes.length + " bytes");
  }

  @Test
  void aShardThatWasCutIsNamed() throws IOException {
    model = random(3).shards(3).write(directory.resolve("sharded"));
    assertEnds(
        model.resolve("model-00002-of-00003.safetensors"),
        file -> Files.write(file, new byte[10]),
        "found 10 bytes");
  }

  @Test
  void copiedWeightsDoNotCare() throws IOException {
    try (Lorikeet lorikeet = open(model, "copied")) {
      String before = lorikeet.generate("The sea");
      Files.write(model.resolve(WEIGHTS), new byte[10]);
      assertEquals(before, lorikeet.generate("The sea"));
    }
  }

  /** What a deployment does: new files beside, renamed onto the old ones while they are served. */
  @Test
  void filesOfAServedModelMayBeReplacedByRenaming() throws IOException {
    try (Lorikeet lorikeet = open(model, "mapped")) {
      String before = lorikeet.generate("The sea");
      for (String name : List.of(WEIGHTS, "config.json", "tokenizer.json")) {
        Path beside = model.resolve(name + ".new");
        Files.copy(other.resolve(name), beside);
        Files.move(
            beside,
            model.resolve(name),
            StandardCopyOption.ATOMIC_MOVE,
            StandardCopyOption.REPLACE_EXISTING);
      }
      assertEquals(before, lorikeet.generate("The sea"), "the old weights");
      try (Lorikeet anew = open(model, "mapped")) {
        assertNotEquals(before, anew.generate("The sea"), "the new weights");
      }
      Files.delete(model.resolve(WEIGHTS));
      assertEquals(before, lorikeet.generate("The sea"), "a file that is gone is kept as well");
    }
  }
}
