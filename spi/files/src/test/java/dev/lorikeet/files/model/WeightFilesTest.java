package dev.lorikeet.files.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WeightFilesTest {
  private static final String[] IGNORED = {
    "mtp.fc.weight",
    "model.mtp.layers.0.mlp.up_proj.weight",
    "v_head.summary.bias",
    "model.layers.0.self_attn.k_scale",
    "model.layers.0.self_attn.v_proj.v_scale"
  };

  @TempDir Path directory;

  /** Writes a file whose tensors are one F32 each. */
  private void write(String file, String... names) throws IOException {
    List<String> entries = new ArrayList<>();
    for (String name : names) {
      int at = 4 * entries.size();
      entries.add(
          "\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}"
              .formatted(name, at, at + 4));
    }
    byte[] header = ("{" + String.join(",", entries) + "}").getBytes(StandardCharsets.UTF_8);
    var out = new ByteArrayOutputStream();
    out.writeBytes(
        ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
    out.writeBytes(header);
    out.writeBytes(new byte[4 * names.length]);
    Files.write(directory.resolve(file), out.toByteArray());
  }

  private void index(String... pairs) throws IOException {
    List<String> entries = new ArrayList<>();
    for (int i = 0; i < pairs.length; i += 2) {
      entries.add("\"" + pairs[i] + "\":\"" + pairs[i + 1] + "\"");
    }
    Files.writeString(
        directory.resolve(WeightFiles.INDEX),
        "{\"weight_map\":{" + String.join(",", entries) + "}}");
  }

  private Set<String> names() {
    try (Arena arena = Arena.ofConfined()) {
      return Set.copyOf(WeightFiles.map(directory, arena).keySet());
    }
  }

  @Test
  void whatIsNoPartOfAForwardPassIsLeftOut() throws IOException {
    for (String name : IGNORED) {
      write(WeightFiles.SINGLE, "model.norm.weight", name, "model.layers.0.k_scale.weight");
      assertEquals(Set.of("model.norm.weight", "model.layers.0.k_scale.weight"), names(), name);
    }
  }

  @Test
  void anIndexMayListWhatIsLeftOutWhereNoFileHasIt() throws IOException {
    write("a.safetensors", "model.norm.weight", "v_head.summary.weight");
    for (String name : IGNORED) {
      index("model.norm.weight", "a.safetensors", name, "a.safetensors");
      assertEquals(Set.of("model.norm.weight"), names(), name);
      index("model.norm.weight", "a.safetensors", name, "mtp.safetensors");
      assertEquals(Set.of("model.norm.weight"), names(), name);
    }
    index("model.norm.weight", "a.safetensors", "model.more", "a.safetensors");
    var error = assertThrows(LorikeetException.class, this::names);
    assertTrue(String.valueOf(error.getMessage()).contains("model.more"), error.getMessage());
  }

  @Test
  void aTensorThatTheIndexDoesNotListIsTaken() throws IOException {
    write("a.safetensors", "model.norm.weight", "lm_head.weight");
    index("model.norm.weight", "a.safetensors");
    assertEquals(Set.of("model.norm.weight", "lm_head.weight"), names());
  }

  @Test
  void aTensorInAnotherFileThanListedIsRefused() throws IOException {
    write("a.safetensors", "model.norm.weight", "lm_head.weight");
    write("b.safetensors", "lm_head.weight");
    index("model.norm.weight", "a.safetensors", "lm_head.weight", "b.safetensors");
    var error = assertThrows(LorikeetException.class, this::names);
    assertTrue(
        String.valueOf(error.getMessage())
            .endsWith("lm_head.weight: expected a.safetensors, found b.safetensors"),
        error.getMessage());
  }
}
