package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.gguf.GgufAdapterFile;
import dev.lorikeet.files.gguf.GgufWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** LoRA adapters in GGUF files. */
class GgufAdapterTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(3)
          .hidden(24)
          .intermediate(32)
          .heads(4)
          .kvHeads(2)
          .headDim(6)
          .vocabulary(10)
          .build();

  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path folder;

  private static GgufWriter adapter() {
    return new GgufWriter()
        .text("general.type", "adapter")
        .text("general.architecture", "llama")
        .text("adapter.type", "lora")
        .decimal("adapter.lora.alpha", 8);
  }

  private static GgufWriter.Data counting(int elements, int first) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * elements).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      bytes.putFloat(first + i);
    }
    return out -> out.write(bytes.array());
  }

  private static GgufWriter pair(GgufWriter writer, String module, int in, int out) {
    return writer
        .tensor(
            module + ".weight.lora_a", StoredType.F32, List.of(2L, (long) in), counting(2 * in, 0))
        .tensor(
            module + ".weight.lora_b",
            StoredType.F32,
            List.of((long) out, 2L),
            counting(2 * out, 0));
  }

  private Path write(GgufWriter writer) throws IOException {
    Path file = folder.resolve("adapter.gguf");
    writer.write(file);
    return file;
  }

  @Test
  void whatAFileHoldsIsDescribed() throws IOException {
    GgufWriter writer = adapter().text("general.base_model.0.name", "Some Llama");
    pair(writer, "blk.2.ffn_down", 32, 24);
    pair(writer, "blk.0.attn_q", 24, 24);
    Path file = write(writer);
    AdapterDescription found = AdapterFiles.describe(file);
    assertEquals(AdapterDescription.Format.GGUF, found.format());
    assertEquals(Optional.of("Some Llama"), found.baseModel());
    assertEquals(found.targets(), AdapterFiles.inspect(file, SHAPE));
    TargetSpec query = found.targets().getFirst();
    assertEquals(TargetModule.of(0, Projection.Q), query.target());
    assertEquals(4, query.scaling());
    assertEquals(2, query.rank());
    assertEquals(ElementType.F32, query.type());
    assertEquals(TargetModule.of(2, Projection.DOWN), found.targets().getLast().target());
    assertTrue(GgufAdapterFile.isAdapter(file));
  }

  /** Row 2 i + part of a head in the file is row part * half + i of Hugging Face's. */
  @Test
  void rowsOfQueriesAndKeysAreThoseOfHuggingFace() throws IOException {
    GgufWriter writer = adapter();
    pair(writer, "blk.0.attn_q", 24, 24);
    pair(writer, "blk.0.attn_k", 24, 12);
    pair(writer, "blk.0.attn_v", 24, 12);
    try (GgufAdapterFile file = GgufAdapterFile.open(write(writer), Optional.of(SHAPE))) {
      Map<String, float[]> rows = new TreeMap<>();
      file.read(
          (target, spec, factor, first, lines, data) -> {
            for (int line = 0; line < lines; line++) {
              float[] row =
                  data.asSlice(line * data.byteSize() / lines, data.byteSize() / lines)
                      .toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
              rows.put(
                  spec.target().projection().name() + " " + factor + " " + (first + line), row);
            }
          });
      for (int row = 0; row < 24; row++) {
        int stored = row / 6 * 6 + row % 3 * 2 + row % 6 / 3;
        assertRow(rows, "Q B_BY_OUTPUT " + row, stored);
        if (row < 12) {
          assertRow(rows, "K B_BY_OUTPUT " + row, stored);
          assertRow(rows, "V B_BY_OUTPUT " + row, row);
        }
      }
      assertEquals(3 * 2 + 24 + 12 + 12, rows.size());
    }
  }

  private static void assertRow(Map<String, float[]> rows, String name, int stored) {
    assertEquals(
        Arrays.toString(new float[] {2 * stored, 2 * stored + 1}),
        Arrays.toString(rows.get(name)),
        name);
  }

  @Test
  void whatDoesNotFitIsRefusedByName() throws IOException {
    assertRefused(
        "general.type: expected 'adapter'", new GgufWriter().text("general.architecture", "llama"));
    assertRefused("expected at least one pair", adapter());
    assertRefused(
        "adapter.type: expected 'lora', found 'other'",
        new GgufWriter().text("general.type", "adapter").text("adapter.type", "other"));
    assertRefused(
        "'blk.3.attn_q.weight.lora_a': expected layers 0 to 2",
        pair(adapter(), "blk.3.attn_q", 24, 24));
    assertRefused(
        "'blk.0.attn_q.weight.lora_b': expected shape [24, 2], [out, rank], found [12, 2]",
        pair(adapter(), "blk.0.attn_q", 24, 12));
    assertRefused(
        "'blk.0.attn_q.weight.lora_a': expected shape [2, 24], [rank, in], found [2, 12]",
        pair(adapter(), "blk.0.attn_q", 12, 24));
    assertRefused(
        "expected a tensor blk.0.attn_q.weight.lora_b, found nothing",
        adapter()
            .tensor(
                "blk.0.attn_q.weight.lora_a", StoredType.F32, List.of(2L, 24L), counting(48, 0)));
    assertRefused(
        "'token_embd.weight.lora_a': expected factors of the linear layers",
        pair(adapter(), "token_embd", 24, 24));
    assertRefused(
        "'blk.0.ffn_gate_exps.weight.lora_a': expected factors",
        pair(adapter(), "blk.0.ffn_gate_exps", 24, 32));
    assertRefused(
        "'blk.0.attn_q.weight.lora_a': type: expected F32, F16 or BF16",
        adapter()
            .tensor(
                "blk.0.attn_q.weight.lora_a",
                StoredType.Q8_0,
                List.of(2L, 32L),
                out -> out.write(new byte[68]))
            .tensor(
                "blk.0.attn_q.weight.lora_b", StoredType.F32, List.of(24L, 2L), counting(48, 0)));
    assertRefused(
        "adapter.lora.alpha: expected a number from",
        new GgufWriter()
            .text("general.type", "adapter")
            .text("general.architecture", "llama")
            .decimal("adapter.lora.alpha", Float.NaN));
  }

  private void assertRefused(String message, GgufWriter writer) throws IOException {
    Path file = write(writer);
    var error =
        assertThrows(LorikeetException.class, () -> AdapterFiles.inspect(file, wide(message)));
    String found = String.valueOf(error.getMessage());
    assertTrue(found.startsWith(file.toString()) && found.contains(message), found);
    assertTrue(
        error.code() == Code.ADAPTER_INVALID || error.code() == Code.ADAPTER_UNSUPPORTED, found);
  }

  /** Blocks need rows of 32. */
  private static ModelShape wide(String message) {
    return message.contains(": type:") ? SHAPE.toBuilder().hidden(32).build() : SHAPE;
  }

  @Test
  void randomDamageIsRefusedOrAccepted() throws IOException {
    GgufWriter writer = adapter();
    pair(writer, "blk.0.attn_q", 24, 24);
    pair(writer, "blk.1.ffn_up", 24, 32);
    Path file = write(writer);
    byte[] sound = Files.readAllBytes(file);
    int refused = 0;
    for (int n = 0; n < 3000; n++) {
      byte[] changed =
          n % 5 == 0 ? Arrays.copyOf(sound, random.nextInt(sound.length)) : sound.clone();
      for (int changes = random.nextInt(3); changes >= 0 && changed.length > 0; changes--) {
        changed[random.nextInt(Math.min(changed.length, 600))] = (byte) random.nextInt(256);
      }
      Files.write(file, changed);
      try {
        AdapterFiles.inspect(file, SHAPE);
      } catch (LorikeetException e) {
        assertTrue(e.code() != Code.INTERNAL, e.toString());
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("seed " + seed + ", damage " + n, e);
      }
    }
    assertTrue(refused > 1000, refused + " refused, seed " + seed);
  }
}
