package dev.lorikeet.bench.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GgufConverterTest {
  @TempDir Path directory;

  @Test
  void elementsComeAtTheirOffsetsInTheirTypes() throws IOException {
    Path file = directory.resolve("small.gguf");
    GgufWriter writer =
        new GgufWriter()
            .text("general.architecture", "llama")
            .numbers("some.numbers", List.of(7, 8, 9));
    GgufConverter.add(writer, "first", List.of(2, 3), ElementType.F16, index -> index + 0.5f);
    GgufConverter.add(writer, "second", List.of(4), ElementType.F32, index -> -index);
    writer.write(file);
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(0x46554747, bytes.getInt());
    assertEquals(3, bytes.getInt());
    assertEquals(2, bytes.getLong());
    assertEquals(2, bytes.getLong());
    assertEquals(0, bytes.capacity() % 32);
    int data = bytes.capacity() - 64; // both tensors fit into one unit of alignment
    for (int i = 0; i < 6; i++) {
      assertEquals(i + 0.5f, Float.float16ToFloat(bytes.getShort(data + 2 * i)));
    }
    for (int i = 0; i < 4; i++) {
      assertEquals(-i, bytes.getFloat(data + 32 + 4 * i));
    }
    String text = new String(bytes.array(), StandardCharsets.ISO_8859_1);
    int shape = text.indexOf("first") + "first".length();
    assertEquals(2, bytes.getInt(shape));
    assertEquals(3, bytes.getLong(shape + 4), "the fastest dimension comes first");
    assertEquals(2, bytes.getLong(shape + 12));
  }

  @Test
  void rowsAreTakenInTheirNewOrder() {
    var elements = GgufConverter.rows(index -> index, 10, row -> 3 - row);
    assertEquals(35, elements.get(5));
    assertEquals(2, elements.get(32));
  }

  @Test
  void aRandomModelIsReadBackAsItWasWritten() throws IOException {
    var shape =
        dev.lorikeet.shape.ModelShape.builder()
            .layers(1)
            .hidden(64)
            .intermediate(96)
            .heads(2)
            .kvHeads(1)
            .headDim(32)
            .vocabulary(300)
            .build();
    RandomWeights.writeModel(directory.resolve("model"), shape, 3);
    try (var arena = java.lang.foreign.Arena.ofConfined()) {
      Safetensors tensors = Safetensors.map(directory.resolve("model"), arena);
      var down = tensors.get("model.layers.0.mlp.down_proj.weight");
      assertEquals(List.of(64, 96), down.shape());
      double squares = 0;
      for (int i = 0; i < 64 * 96; i++) {
        squares += down.get(i) * down.get(i);
      }
      assertEquals(1.0 / 96, squares / (64 * 96), 0.1 / 96);
      var embeddings = tensors.get("model.embed_tokens.weight");
      assertEquals(0, embeddings.get(2 * 64 + 5), "special tokens are never likely");
      assertTrue(embeddings.get(3 * 64 + 5) != 0);
    }
  }
}
