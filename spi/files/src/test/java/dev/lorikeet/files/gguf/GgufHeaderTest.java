package dev.lorikeet.files.gguf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Headers of GGUF files, sound ones and hostile ones. */
class GgufHeaderTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir Path folder;
  private Path file;
  private byte[] sound = {};

  @BeforeEach
  void writeFile() throws IOException {
    file = folder.resolve("model.gguf");
    new GgufWriter()
        .text("general.architecture", "llama")
        .number("some.number", 7)
        .decimal("some.decimal", 1e-6f)
        .flag("some.flag", true)
        .texts("some.texts", List.of("a", "", "é"))
        .numbers("some.numbers", List.of(-1, 2))
        .decimals("some.decimals", List.of(0.5f))
        .tensor("first", StoredType.F32, List.of(2L, 3L), out -> out.write(new byte[24]))
        .tensor("second", StoredType.Q8_0, List.of(2L, 32L), out -> out.write(new byte[68]))
        .write(file);
    sound = Files.readAllBytes(file);
  }

  private GgufHeader read() {
    return GgufHeader.read(Faults.MODEL, file);
  }

  @Test
  void whatIsWrittenIsReadBack() {
    GgufHeader header = read();
    GgufMetadata metadata = header.metadata();
    assertEquals("llama", metadata.text("general.architecture").orElseThrow());
    assertEquals(7, metadata.integer("some.number", 0, 9).orElseThrow());
    assertEquals(1e-6, metadata.number("some.decimal", 0, 1).orElseThrow());
    assertEquals(true, metadata.bool("some.flag").orElseThrow());
    assertEquals(List.of("a", "", "é"), metadata.texts("some.texts").orElseThrow());
    assertEquals(List.of(-1, 2), metadata.integers("some.numbers", -5, 5).orElseThrow());
    assertEquals(List.of(0.5), metadata.numbers("some.decimals").orElseThrow());
    assertTrue(metadata.text("absent").isEmpty());
    assertEquals(List.of("first", "second"), List.copyOf(header.tensors().keySet()));
    GgufHeader.Tensor second = List.copyOf(header.tensors().values()).getLast();
    assertEquals(StoredType.Q8_0, second.type());
    assertEquals(List.of(2L, 32L), second.shape());
    assertEquals(68, second.bytes());
    assertEquals(0, second.begin() % 32);
    assertEquals(sound.length, second.begin() + 96);
  }

  @Test
  void valuesOfAnotherKindAreRefusedByKey() {
    GgufMetadata metadata = read().metadata();
    assertRefused(
        "some.number: expected a text, found one uint32", () -> metadata.text("some.number"));
    assertRefused(
        "some.texts: expected a whole number, found an array of 3 string",
        () -> metadata.integer("some.texts", 0, 9));
    assertRefused(
        "some.number: expected a whole number from 8 to 9, found 7",
        () -> metadata.integer("some.number", 8, 9));
    assertRefused(
        "some.numbers: expected a whole number from 0 to 9, found -1",
        () -> metadata.integers("some.numbers", 0, 9));
    assertRefused(
        "some.decimal: expected a number from", () -> metadata.number("some.decimal", 1, 2));
  }

  /** Wherever the file ends, the message says so; what follows the data may be missing. */
  @Test
  void aFileThatIsCutIsRefusedWhereverItIsCut() throws IOException {
    int end = (int) (List.copyOf(read().tensors().values()).getLast().begin() + 68);
    for (int length = 0; length < end; length++) {
      Files.write(file, Arrays.copyOf(sound, length));
      int cut = length;
      var error = assertThrows(LorikeetException.class, this::read, () -> "cut at " + cut);
      assertEquals(Code.MODEL_INVALID, error.code());
      assertTrue(String.valueOf(error.getMessage()).contains("truncated"), error.getMessage());
    }
    Files.write(file, Arrays.copyOf(sound, end));
    assertEquals(2, read().tensors().size());
  }

  @Test
  void whatIsNoGgufFileIsRefused() throws IOException {
    assertPatched(0, 0x46554748, "model.gguf: expected a GGUF file");
    assertPatched(4, 1, "version: expected GGUF 2 or 3, little-endian, found 1");
    assertPatched(4, 4, "version: expected GGUF 2 or 3, little-endian, found 4");
    assertPatched(4, Integer.reverseBytes(3), "found a big-endian file");
  }

  @Test
  void hugeCountsAreRefusedBeforeAnythingIsAllocated() throws IOException {
    assertPatchedLong(8, 65_537, "number of tensors: expected from 0 to 65536, found 65537");
    assertPatchedLong(8, -1, "number of tensors: expected from 0 to 65536");
    assertPatchedLong(16, Long.MIN_VALUE, "number of metadata entries: expected from 0 to");
    assertPatchedLong(24, 1L << 40, "key 0 of the metadata: length: expected from 0 to 65536");
    // the length of the first value, behind its key and type
    int value = 24 + 8 + "general.architecture".length() + 4;
    assertPatchedLong(value, 1L << 60, "general.architecture: length of a text: expected from 0");
    int texts = after("some.texts") + 4 + 4;
    assertPatchedLong(texts, 1 << 20, "some.texts: expected 8388608 more bytes of header");
    assertPatchedLong(texts, Long.MAX_VALUE, "some.texts: number of elements: expected from 0");
    int numbers = after("some.numbers") + 4 + 4;
    assertPatchedLong(numbers, 1 << 20, "some.numbers: expected 4194304 more bytes of header");
  }

  @Test
  void typesOfValuesThatDoNotExistAreRefused() throws IOException {
    assertPatched(after("some.number"), 13, "some.number: type: expected from 0 to 12, found 13");
    assertPatched(after("some.texts") + 4, 9, "expected an array of simple values");
  }

  @Test
  void tensorsThatCannotBeAreRefused() throws IOException {
    int first = after("first");
    assertPatched(first, 0, "'first': number of dimensions: expected from 1 to 4, found 0");
    assertPatched(first, 5, "'first': number of dimensions: expected from 1 to 4, found 5");
    assertPatchedLong(first + 4, Long.MAX_VALUE, "'first': dimensions: expected a product within");
    assertPatchedLong(first + 4, -3, "'first': dimension: expected from 0");
    assertPatchedLong(first + 4, 1L << 40, "'first': expected 8796093022208 bytes at 0");
    assertPatched(first + 20, 11, "'first': type: expected one of BF16, F16, F32, Q4_0, Q4_K");
    assertPatched(first + 20, 11, "found Q3_K");
    assertPatched(first + 20, 99, "found type 99");
    assertPatchedLong(first + 24, 8, "'first': offset: expected a multiple of the alignment, 32");
    assertPatchedLong(first + 24, 1L << 62, "'first': expected 24 bytes at");
    assertPatchedLong(first + 24, -32, "'first': offset: expected from 0");
    assertPatchedLong(
        after("second") + 4, 31, "'second': dimensions: expected rows of whole blocks");
    assertPatchedLong(
        after("second") + 24,
        0,
        "expected data behind that of tensor 'first', found it to overlap");
  }

  @Test
  void namesAndKeysThatStandTwiceAreRefused() throws IOException {
    GgufWriter twice = new GgufWriter().number("a", 1).number("a", 1);
    twice.write(file);
    assertRefused("a: expected each key once", this::read);
    new GgufWriter()
        .tensor("t", StoredType.F32, List.of(1L), out -> out.write(new byte[4]))
        .tensor("t", StoredType.F32, List.of(1L), out -> out.write(new byte[4]))
        .write(file);
    assertRefused("'t': expected each tensor once", this::read);
  }

  @Test
  void alignmentIsAPowerOfTwo() throws IOException {
    for (int alignment : new int[] {0, 1, 24, 1 << 30}) {
      new GgufWriter().number("general.alignment", alignment).write(file);
      assertRefused("general.alignment: expected", this::read);
    }
  }

  @Test
  void randomDamageIsRefusedOrAccepted() throws IOException {
    int refused = 0;
    for (int n = 0; n < 20_000; n++) {
      byte[] changed = sound.clone();
      for (int changes = random.nextInt(4); changes >= 0; changes--) {
        changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
      }
      Files.write(file, changed);
      try {
        read();
      } catch (LorikeetException e) {
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("seed " + seed + ", " + Arrays.toString(changed), e);
      }
    }
    assertTrue(refused > 5_000, refused + " refused, seed " + seed);
  }

  /** Returns where what follows a name begins. */
  private int after(String name) {
    String text = new String(sound, StandardCharsets.ISO_8859_1);
    return text.indexOf(name) + name.length();
  }

  private void assertPatched(int at, int value, String message) throws IOException {
    byte[] changed = sound.clone();
    ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN).putInt(at, value);
    Files.write(file, changed);
    assertRefused(message, this::read);
  }

  private void assertPatchedLong(int at, long value, String message) throws IOException {
    byte[] changed = sound.clone();
    ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN).putLong(at, value);
    Files.write(file, changed);
    assertRefused(message, this::read);
  }

  private void assertRefused(String message, Runnable reading) {
    var error = assertThrows(LorikeetException.class, reading::run);
    String found = String.valueOf(error.getMessage());
    assertTrue(found.startsWith(file.toString()) && found.contains(message), found);
    assertTrue(error.code() == Code.MODEL_INVALID || error.code() == Code.MODEL_UNSUPPORTED, found);
  }
}
