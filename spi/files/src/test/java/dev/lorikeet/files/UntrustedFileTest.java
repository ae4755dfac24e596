package dev.lorikeet.files;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that are no files, are too large or hold what nobody can want; a hang is a failure. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class UntrustedFileTest {
  private static final long MAX = 1 << 20;

  @TempDir Path directory;

  private static void assertRefused(Path file, String found) {
    var error =
        assertThrows(LorikeetException.class, () -> UntrustedFile.read(Faults.ADAPTER, file, MAX));
    assertEquals(Code.ADAPTER_INVALID, error.code());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith(file + ": expected "), message);
    assertTrue(message.endsWith("found " + found), message);
    error = assertThrows(LorikeetException.class, () -> JsonFile.read(file, MAX));
    assertEquals(Code.MODEL_INVALID, error.code());
  }

  @Test
  void aPipeIsNotOpened() throws Exception {
    Path pipe = directory.resolve("pipe");
    Process mkfifo = new ProcessBuilder("mkfifo", pipe.toString()).start();
    assumeTrue(mkfifo.waitFor() == 0);
    assertRefused(pipe, "a special file");
    Path link = Files.createSymbolicLink(directory.resolve("link"), pipe);
    assertRefused(link, "a special file");
  }

  @Test
  void aDeviceIsNotRead() throws IOException {
    Path zero = Path.of("/dev/zero");
    assumeTrue(Files.exists(zero));
    assertRefused(Files.createSymbolicLink(directory.resolve("zero"), zero), "a special file");
  }

  @Test
  void aFolderAndNothingAreNoFiles() throws IOException {
    assertRefused(directory, "a directory");
    assertRefused(directory.resolve("nothing"), "nothing");
    assertRefused(
        Files.createSymbolicLink(directory.resolve("broken"), directory.resolve("nothing")),
        "nothing");
  }

  @Test
  void theSizeIsLookedAtBeforeAnythingIsRead() throws IOException {
    Path sparse = directory.resolve("sparse");
    try (RandomAccessFile file = new RandomAccessFile(sparse.toFile(), "rw")) {
      file.setLength(1L << 40);
    }
    assertRefused(sparse, Long.toString(1L << 40));
  }

  @Test
  void aLinkToAFileIsFollowed() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "{\"a\": 1}");
    Path link = Files.createSymbolicLink(directory.resolve("link"), file);
    assertEquals("{\"a\": 1}", UntrustedFile.readText(Faults.MODEL, link, MAX));
    assertEquals(1, JsonFile.read(link, MAX).integer("a", 0, 1));
  }

  @Test
  void aGitLfsPointerIsNamed() throws IOException {
    String pointer =
        """
        version https://git-lfs.github.com/spec/v1
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
        size 4932307584
        """;
    for (String name :
        List.of("model.safetensors", "tokenizer.json", "adapter_model.safetensors")) {
      Path file = Files.writeString(directory.resolve(name), pointer);
      for (Faults faults : List.of(Faults.MODEL, Faults.ADAPTER)) {
        var error =
            assertThrows(LorikeetException.class, () -> UntrustedFile.read(faults, file, MAX));
        assertEquals(
            faults == Faults.MODEL ? Code.MODEL_INVALID : Code.ADAPTER_INVALID, error.code());
        String message = String.valueOf(error.getMessage());
        assertTrue(
            message.startsWith(
                file + ": expected the file itself, found a Git LFS pointer to it: fetch the file"),
            message);
      }
    }
    Path text = Files.writeString(directory.resolve("text"), "version https://git-lfs.github");
    assertEquals("version https://git-lfs.github", UntrustedFile.readText(Faults.MODEL, text, MAX));
    String longer = pointer + " ".repeat(1024);
    Files.writeString(text, longer);
    assertEquals(longer, UntrustedFile.readText(Faults.MODEL, text, MAX));
  }

  @Test
  void textThatIsNotUtf8IsRefused() throws IOException {
    Path file = Files.write(directory.resolve("file"), new byte[] {(byte) 0xE9, (byte) 0xE9});
    var error =
        assertThrows(
            LorikeetException.class, () -> UntrustedFile.readText(Faults.MODEL, file, MAX));
    assertTrue(String.valueOf(error.getMessage()).contains("expected UTF-8"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"1e999999999", "-1e999999999", "1e-999999999", "0.1e99999999999999999999", "NaN"})
  void numbersBeyondAllSizesEndAtOnce(String number) {
    assertThrows(
        LorikeetException.class,
        () -> parse("{\"a\": " + number + "}").integer("a", Integer.MIN_VALUE, -1));
    assertThrows(LorikeetException.class, () -> parse("{\"a\": " + number + "}").bytes("a", 10));
    assertThrows(
        LorikeetException.class, () -> parse("{\"a\": " + number + "}").number("a", 0.5, 1e300));
  }

  @Test
  void depthLengthsAndRepetitionAreBounded() {
    for (String json :
        new String[] {
          "[".repeat(1_000_000),
          "{\"a\":".repeat(1_000_000),
          "{\"a\": " + "9".repeat(1_000_000) + "}",
          "{\"" + "a".repeat(1_000_000) + "\": 1}",
          "{\"a\": 1, \"a\": 2}",
          "{\"a\": 1} {}",
          "{\"a\": \"" + "x".repeat(2 << 20) + "\"}"
        }) {
      assertThrows(LorikeetException.class, () -> parse(json));
    }
  }

  private static JsonFile parse(String json) {
    return JsonFile.parse("json", json.getBytes(UTF_8));
  }

  /** 92 MB of JSON take more than the heap of many: in a JVM of its own, as it is. */
  @Test
  void jsonThatDoesNotFitIntoTheHeapIsRefused() throws Exception {
    Path file = directory.resolve("large.json");
    try (var out = Files.newBufferedWriter(file)) {
      out.write("{\"a\": [");
      for (int i = 0; i < 4_000_000; i++) {
        out.write("\"t" + i + "\",");
      }
      out.write("0]}");
    }
    Process child =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx128m",
                "-cp",
                System.getProperty("java.class.path"),
                ReadJson.class.getName(),
                file.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(child.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, child.waitFor(), output);
    assertTrue(output.contains("MODEL_INVALID") && output.contains("-Xmx"), output);
  }

  /** Reads a file as JSON and prints how that ended. */
  static final class ReadJson {
    private ReadJson() {}

    @SuppressWarnings("SystemOut")
    public static void main(String[] arguments) throws IOException {
      Path file = Path.of(arguments[0]);
      try {
        JsonFile.read(file, 256 << 20);
      } catch (LorikeetException e) {
        System.out.println(e.code() + " " + e.getMessage());
      }
      ByteBuffer bytes = UntrustedFile.read(Faults.MODEL, file, 256 << 20);
      try {
        JsonFile.parse(Faults.MODEL, "json", bytes);
      } catch (LorikeetException e) {
        System.out.println(e.code() + " " + e.getMessage());
      }
    }
  }
}
