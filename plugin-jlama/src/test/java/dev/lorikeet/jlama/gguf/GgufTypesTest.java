package dev.lorikeet.jlama.gguf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.jlama.gguf.GgufConversion.Encoded;
import dev.lorikeet.jlama.gguf.GgufConversion.Encoding;
import dev.lorikeet.jlama.gguf.GgufConversion.Floats;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Models with random blocks for weights: their logits are those of a directory that has, in
 * float32, what an independent decoder makes of the blocks.
 */
class GgufTypesTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path folder;

  /** The tensors of a file by their names there, as they were encoded. */
  private final Map<String, Encoded> written = new HashMap<>();

  private RandomModel model() {
    return RandomModel.llama(11).widths(256, 512).layers(2).heads(4, 2);
  }

  /** Blocks of random bytes; scales of a size that makes values as large as weights are. */
  private Encoded blocks(StoredType type, Floats tensor) {
    long count = tensor.elements().length / type.blockElements();
    int size = Math.toIntExact(type.byteSize(type.blockElements()));
    byte[] bytes = new byte[Math.toIntExact(count * size)];
    random.nextBytes(bytes);
    double deviation = 1 / Math.sqrt(tensor.shape().getLast());
    MemorySegment memory = MemorySegment.ofArray(bytes);
    for (long block = 0; block < count; block++) {
      double noise = 1 + 0.3 * random.nextGaussian();
      long at = block * size;
      switch (type) {
        case Q8_0 -> f16(memory, at, deviation / 74 * noise);
        case Q4_0 -> f16(memory, at, deviation / 4.6 * noise);
        case Q5_0 -> f16(memory, at, deviation / 9.2 * noise);
        case Q5_K -> {
          f16(memory, at, deviation / 300 * noise);
          f16(memory, at + 2, deviation / 20 * noise);
        }
        case Q4_K -> {
          f16(memory, at, deviation / 150 * noise);
          f16(memory, at + 2, deviation / 20 * noise);
        }
        case Q6_K -> f16(memory, at + 208, deviation / 1300 * noise);
        default -> throw new IllegalArgumentException(type.name());
      }
    }
    return new Encoded(type, bytes);
  }

  private static void f16(MemorySegment memory, long at, double value) {
    ElementType.F16.write(memory, at, (float) value);
  }

  private Encoding encoding(StoredType ofMost, StoredType ofSome) {
    return (name, tensor) -> {
      StoredType type =
          name.startsWith("token_embd") || name.contains("attn_v") || name.contains("ffn_down")
              ? ofSome
              : ofMost;
      Encoded encoded =
          tensor.shape().size() == 1
              ? GgufConversion.floats(ElementType.F32, tensor.elements())
              : type.inBlocks()
                  ? blocks(type, tensor)
                  : GgufConversion.floats(ElementType.valueOf(type.name()), tensor.elements());
      written.put(name, encoded);
      return encoded;
    };
  }

  @ParameterizedTest
  @CsvSource({
    "F16, F16, F16",
    "BF16, BF16, BF16",
    "Q8_0, Q8_0, Q8_0",
    "Q4_0, Q4_0, Q4_0",
    "Q5_0, Q8_0, Q5_0", // as those of models that are too narrow for large blocks
    "Q4_K, Q4_K, Q4_K",
    "Q5_K, Q6_K, Q5_K", // Q5_K_M
    "Q6_K, Q6_K, Q6_K",
    "Q4_K, Q6_K, Q4_K", // as files named Q4_K_M have them
    "Q4_0, Q8_0, Q8_0"
  })
  void logitsAreThoseOfTheDecodedWeights(StoredType ofMost, StoredType ofSome, String named)
      throws IOException {
    Path source = model().write(folder.resolve("source"));
    Path file = folder.resolve("model.gguf");
    GgufConversion.model(source, file, encoding(ofMost, ofSome));
    Path decoded = folder.resolve("decoded");
    GgufConversion.copy(source, decoded);
    Files.delete(decoded.resolve("model.safetensors"));
    writeDecoded(source, decoded.resolve("model.safetensors"));
    ModelInfo info = new JlamaModelProvider().describe(file);
    assertEquals(named, info.weightType(), "seed " + seed);
    Path adapter = PeftAdapterWriter.write(folder.resolve("adapter"), 7, 4, info.shape());
    try (Lorikeet gguf = Logits.open(file);
        Lorikeet floats = Logits.open(decoded);
        Lorikeet copied =
            Lorikeet.builder(file)
                .poolBytes(16L << 20)
                .modelOption("threads", "1")
                .modelOption("kv-type", "f32")
                .modelOption("weights", "copied")
                .open()) {
      gguf.register("some", adapter);
      floats.register("some", adapter);
      for (int length : new int[] {1, 3, 7, 40}) {
        List<Integer> ids = random.ints(length, 3, RandomModel.VOCABULARY).boxed().toList();
        for (AdapterChoice choice :
            List.of(new AdapterChoice.None(), new AdapterChoice.Named("some"))) {
          float[] expected = Logits.of(floats, ids, choice);
          assertArrayEquals(
              expected, Logits.of(gguf, ids, choice), "seed " + seed + ", " + length + " tokens");
        }
        assertArrayEquals(
            Logits.of(floats, ids, new AdapterChoice.None()),
            Logits.of(copied, ids, new AdapterChoice.None()),
            "seed " + seed + ", copied");
      }
    }
  }

  /** Writes what was written, decoded, under Hugging Face's names and in its order. */
  private void writeDecoded(Path source, Path file) throws IOException {
    SafetensorsWriter writer = new SafetensorsWriter();
    GgufConversion.floatsOf(source.resolve("model.safetensors"))
        .forEach(
            (name, tensor) -> {
              String stored = GgufConversion.nameOf(name);
              Encoded encoded = written.get(stored);
              if (encoded == null) {
                throw new IllegalStateException(stored);
              }
              float[] elements = decoded(encoded);
              if (stored.contains("attn_q.") || stored.contains("attn_k.")) {
                elements = halves(elements, tensor.shape(), stored.contains("attn_q.") ? 4 : 2);
              }
              writer.add(name, tensor.shape(), elements);
            });
    writer.write(file);
  }

  private static float[] decoded(Encoded encoded) {
    if (encoded.type().inBlocks()) {
      return BlockDecoder.decodeAll(encoded.type(), encoded.bytes());
    }
    ElementType type = ElementType.valueOf(encoded.type().name());
    MemorySegment memory = MemorySegment.ofArray(encoded.bytes());
    float[] elements = new float[encoded.bytes().length / type.bytes()];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = type.read(memory, (long) i * type.bytes());
    }
    return elements;
  }

  /** The rows back in Hugging Face's order: row {@code 2 i + part} of a head is row part, i. */
  private static float[] halves(float[] elements, List<Long> shape, int heads) {
    int rows = shape.getFirst().intValue();
    int columns = elements.length / rows;
    int half = rows / heads / 2;
    float[] back = new float[elements.length];
    for (int row = 0; row < rows; row++) {
      int head = row / (2 * half);
      int pair = row % (2 * half) / 2;
      int to = (head * 2 + row % 2) * half + pair;
      System.arraycopy(elements, row * columns, back, to * columns, columns);
    }
    return back;
  }

  @Test
  void tokensOfManySequencesAreThoseOfEachAlone() throws IOException {
    Path source = model().write(folder.resolve("source"));
    Path file = folder.resolve("model.gguf");
    GgufConversion.model(source, file, encoding(StoredType.Q4_K, StoredType.Q6_K));
    try (Lorikeet gguf = Logits.open(file)) {
      Path adapter =
          PeftAdapterWriter.write(folder.resolve("adapter"), 7, 4, gguf.model().info().shape());
      gguf.register("some", adapter);
      List<GenerationRequest> requests =
          IntStream.range(0, 9)
              .mapToObj(
                  i ->
                      GenerationRequest.tokens(List.of(5 + i, 9, 300 + i))
                          .adapter(
                              i % 2 == 0
                                  ? new AdapterChoice.None()
                                  : new AdapterChoice.Named("some"))
                          .maxTokens(12)
                          .build())
              .toList();
      List<List<Integer>> alone =
          requests.stream().map(request -> gguf.submit(request).await().tokens()).toList();
      var together = requests.stream().map(gguf::submit).toList();
      assertEquals(
          alone, together.stream().map(each -> each.await().tokens()).toList(), "seed " + seed);
    }
  }

  @Test
  void mergingIntoBlocksIsRefused() throws IOException {
    Path source = model().write(folder.resolve("source"));
    Path file = folder.resolve("model.gguf");
    GgufConversion.model(source, file, encoding(StoredType.Q8_0, StoredType.Q8_0));
    var error =
        assertThrows(
            RuntimeException.class,
            () ->
                Lorikeet.builder(file)
                    .poolBytes(16L << 20)
                    .modelOption("switching", "merge")
                    .open());
    assertTrue(String.valueOf(error.getMessage()).contains("Q8_0"), error.toString());
    Lorikeet.builder(file).poolBytes(16L << 20).modelOption("switching", "auto").open().close();
  }
}
