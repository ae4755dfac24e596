package dev.lorikeet.jlama.gguf;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.gguf.GgufModel;
import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.HfTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Damaged and hostile models in GGUF files: refused as the API says, or served, and let go of. */
class GgufFuzzTest {
  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 100);

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final JlamaModelProvider provider = new JlamaModelProvider();

  @TempDir Path folder;

  private Path model() throws IOException {
    Path source =
        RandomModel.llama(3)
            .widths(32, 64)
            .layers(2)
            .type(ElementType.BF16)
            .write(folder.resolve("source"));
    Path file = folder.resolve("model.gguf");
    GgufConversion.model(
        source,
        file,
        (name, tensor) ->
            tensor.shape().size() == 1
                ? GgufConversion.floats(ElementType.F32, tensor.elements())
                : name.contains("ffn")
                    ? new GgufConversion.Encoded(
                        StoredType.Q8_0, new byte[tensor.elements().length / 32 * 34])
                    : GgufConversion.floats(ElementType.F16, tensor.elements()));
    return file;
  }

  @Test
  void damageAnywhereIsRefusedOrServed() throws IOException {
    Path file = model();
    byte[] sound = Files.readAllBytes(file);
    int header = (int) GgufModel.header(file).tensors().values().iterator().next().begin();
    int refused = 0;
    for (int n = 0; n < MUTATIONS; n++) {
      byte[] changed =
          n % 4 == 0 ? Arrays.copyOf(sound, random.nextInt(sound.length)) : sound.clone();
      int reach = Math.max(1, Math.min(changed.length, n % 2 == 0 ? 2000 : header));
      // the beginning has the counts and sizes, the end of the header the tensors
      int from = n % 3 == 0 ? Math.max(0, reach - 2000) : 0;
      for (int changes = random.nextInt(6); changes >= 0 && changed.length > 0; changes--) {
        changed[from + random.nextInt(reach - from)] = (byte) random.nextInt(256);
      }
      Files.write(file, changed);
      try {
        provider.describe(file);
        ChatTemplate.read(file);
        HfTokenizer.open(file).close();
        if (n % 10 == 0) {
          try (Lorikeet lorikeet = Logits.open(file)) {
            lorikeet.submit(GenerationRequest.tokens(List.of(5, 6)).maxTokens(2).build()).await();
          }
        }
      } catch (LorikeetException e) {
        assertTrue(e.code() != Code.INTERNAL, () -> "seed " + seed + ": " + e);
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("seed " + seed + ", damage " + n, e);
      }
    }
    assertTrue(refused > MUTATIONS / 10, refused + " refused, seed " + seed);
    Path maps = Path.of("/proc/self/maps");
    if (Files.exists(maps)) {
      assertFalse(Files.readString(maps).contains(file.toString()));
    }
  }

  @Test
  void tensorsThatAreMissingOrTooManyAreNamed() throws IOException {
    Path source = RandomModel.llama(3).widths(32, 64).layers(1).write(folder.resolve("source"));
    Path file = folder.resolve("model.gguf");
    GgufConversion.model(source, file, GgufConversion.matricesIn(ElementType.F32));
    byte[] sound = Files.readAllBytes(file);
    assertRenamed(file, sound, "blk.0.ffn_up.weight", "expected a tensor blk.0.ffn_up.weight");
    assertRenamed(file, sound, "output_norm.weight", "expected a tensor output_norm.weight");
    Files.write(file, sound);
    assertRefused(file.resolveSibling("absent.gguf"), "nothing there");
    new GgufWriter().text("general.architecture", "llama").write(file);
    assertRefused(file, "llama.embedding_length");
  }

  /** Gives a tensor another name of the same length. */
  private void assertRenamed(Path file, byte[] sound, String name, String message)
      throws IOException {
    byte[] changed = sound.clone();
    byte[] wanted = name.getBytes(java.nio.charset.StandardCharsets.US_ASCII);
    for (int at = 0; at < changed.length - wanted.length; at++) {
      if (Arrays.equals(changed, at, at + wanted.length, wanted, 0, wanted.length)) {
        changed[at + wanted.length - 1] = 'X';
      }
    }
    Files.write(file, changed);
    assertRefused(file, message);
  }

  private void assertRefused(Path file, String message) {
    var error = assertThrows(LorikeetException.class, () -> provider.describe(file));
    String found = String.valueOf(error.getMessage());
    assertTrue(found.contains(message) && found.contains(file.toString()), found);
  }
}
