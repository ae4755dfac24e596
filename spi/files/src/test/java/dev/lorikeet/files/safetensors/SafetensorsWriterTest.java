package dev.lorikeet.files.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is written reads back, aligned, and appears whole or not at all. */
class SafetensorsWriterTest {
  @TempDir Path folder;

  @Test
  void randomTensorsReadBackAndLieAtMultiplesOfTheirWidth() throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    StoredType[] types =
        Arrays.stream(StoredType.values())
            .filter(type -> !type.inBlocks())
            .toArray(StoredType[]::new);
    SafetensorsWriter writer = new SafetensorsWriter();
    Map<String, byte[]> expected = new HashMap<>();
    for (int t = 0; t < 60; t++) {
      String name = "tensor \"" + random.nextInt() + "\" \u00e9";
      StoredType type = types[random.nextInt(types.length)];
      long rows = random.nextInt(5);
      long columns = 4L * random.nextInt(30_000 / (t + 1) + 1);
      byte[] bytes = new byte[Math.toIntExact(rows * columns * type.bits() / 8)];
      random.nextBytes(bytes);
      expected.put(name, bytes);
      writer.add(name, type, List.of(rows, columns), MemorySegment.ofArray(bytes));
    }
    Path file = folder.resolve("some.safetensors");
    writer.write(file);
    try (Arena arena = Arena.ofConfined()) {
      long dataStart = Files.size(file) - expected.values().stream().mapToLong(b -> b.length).sum();
      assertEquals(0, dataStart % 8, "seed " + seed);
      long at = dataStart;
      for (StoredTensor tensor : SafetensorsFile.map(file, arena)) {
        assertEquals(0, at % Math.max(1, tensor.type().bits() / 8), "seed " + seed);
        at += tensor.bytes().byteSize();
        assertArrayEquals(
            expected.remove(tensor.name()),
            tensor.bytes().toArray(ValueLayout.JAVA_BYTE),
            "seed " + seed);
      }
    }
    assertTrue(expected.isEmpty(), "seed " + seed);
  }

  @Test
  void theFormatIsWhatItsDocumentationSays() throws IOException {
    Path file = folder.resolve("two.safetensors");
    new SafetensorsWriter()
        .add("b", List.of(2L), new float[] {1, -2})
        .add("a", StoredType.BF16, List.of(1L, 1L), output -> output.writeShort((short) 0x3F80))
        .add("c", List.of(), new float[] {3})
        .write(file);
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int length = Math.toIntExact(bytes.getLong());
    byte[] header = new byte[length];
    bytes.get(header);
    assertEquals(
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"c\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[8,12]},"
            + "\"a\":{\"dtype\":\"BF16\",\"shape\":[1,1],\"data_offsets\":[12,14]}}",
        new String(header, StandardCharsets.UTF_8).stripTrailing());
    assertEquals(1, bytes.getFloat());
    assertEquals(-2, bytes.getFloat());
    assertEquals(3, bytes.getFloat());
    assertEquals(0x3F80, bytes.getShort());
    assertFalse(bytes.hasRemaining());
  }

  @Test
  void dataOfAnotherSizeThanItsShapeLeavesWhatWasThere() throws IOException {
    Path file = folder.resolve("kept.safetensors");
    Files.writeString(file, "before");
    var writer =
        new SafetensorsWriter()
            .add("short", StoredType.F32, List.of(2L), output -> output.writeFloat(1));
    var error = assertThrows(IllegalStateException.class, () -> writer.write(file));
    assertTrue(String.valueOf(error.getMessage()).contains("short: expected 8 bytes for F32[2]"));
    assertEquals("before", Files.readString(file));
    try (var files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList());
    }
  }

  @Test
  void impossibleTensorsAreRefusedAsTheyAreAdded() {
    var writer = new SafetensorsWriter().add("a", List.of(1L), new float[] {1});
    assertThrows(
        IllegalArgumentException.class, () -> writer.add("a", List.of(1L), new float[] {1}));
    assertThrows(
        IllegalArgumentException.class, () -> writer.add("b", List.of(-1L), new float[] {1}));
    assertThrows(
        IllegalArgumentException.class,
        () -> writer.add("c", StoredType.Q4, List.of(3L), MemorySegment.ofArray(new byte[2])));
  }
}
