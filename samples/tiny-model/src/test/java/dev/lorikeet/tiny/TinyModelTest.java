package dev.lorikeet.tiny;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TinyModelTest {
  private static final Path SOURCES = Path.of("src/main/resources/META-INF/lorikeet/tiny-model");

  @TempDir Path directory;

  @Test
  void extractionGivesEveryFileOfTheSourcesByteForByte() throws IOException {
    TinyModel.extract(directory);

    List<Path> expected = files(SOURCES);
    expected.remove(Path.of("index.sha256"));
    assertEquals(expected, files(directory), "index.sha256 lists other files; run scripts/seal.sh");
    for (Path file : expected) {
      assertEquals(
          -1, Files.mismatch(SOURCES.resolve(file), directory.resolve(file)), file::toString);
    }
  }

  @Test
  void theModelNamesItsParts() {
    TinyModel tiny = TinyModel.extract(directory);

    assertEquals(List.of("glossary", "jargon", "scripture", "voyage"), tiny.adapterNames());
    assertTrue(Files.isRegularFile(tiny.base().resolve("model.safetensors")));
    assertTrue(Files.isRegularFile(tiny.reference()));
    assertTrue(Files.isRegularFile(tiny.gate().resolve("router.safetensors")));
    for (String name : tiny.adapterNames()) {
      assertTrue(Files.isRegularFile(tiny.adapter(name).resolve("adapter_config.json")), name);
      assertTrue(Files.isRegularFile(tiny.trainingText(name)), name);
      assertTrue(Files.isRegularFile(tiny.heldOutText(name)), name);
    }
  }

  @Test
  void anUnknownAdapterIsRefusedByName() {
    TinyModel tiny = TinyModel.extract(directory);

    var refusal = assertThrows(IllegalArgumentException.class, () -> tiny.adapter("../base"));
    assertEquals(
        "adapter: expected one of [glossary, jargon, scripture, voyage], found '../base'",
        refusal.getMessage());
  }

  @Test
  void intactFilesAreKeptAndDamagedOnesReplaced() throws IOException {
    TinyModel tiny = TinyModel.extract(directory);
    Path intact = tiny.base().resolve("model.safetensors");
    Path damaged = tiny.base().resolve("config.json");
    FileTime old = FileTime.fromMillis(0);
    Files.setLastModifiedTime(intact, old);
    Files.writeString(damaged, "{}");

    TinyModel.extract(directory);

    assertEquals(old, Files.getLastModifiedTime(intact));
    assertEquals(-1, Files.mismatch(SOURCES.resolve("base/config.json"), damaged));
  }

  @Test
  void aLinkInPlaceOfAFileIsReplacedAndItsTargetLeftAlone() throws IOException {
    Path elsewhere = Files.writeString(directory.resolve("elsewhere"), "precious");
    Path model = directory.resolve("model");
    Files.createDirectories(model);
    Files.createSymbolicLink(model.resolve("reference.json"), elsewhere);

    TinyModel tiny = TinyModel.extract(model);

    assertTrue(Files.size(tiny.reference()) > 100_000);
    assertEquals("precious", Files.readString(elsewhere));
  }

  @Test
  void severalThreadsMayExtractIntoOneDirectory() throws Exception {
    try (var threads = Executors.newFixedThreadPool(4)) {
      Callable<TinyModel> extraction = () -> TinyModel.extract(directory);
      for (Future<TinyModel> done :
          threads.invokeAll(List.of(extraction, extraction, extraction, extraction))) {
        assertEquals(4, done.get().adapterNames().size());
      }
    }
    assertEquals(files(SOURCES).size() - 1, files(directory).size(), "no partial file stays");
  }

  @Test
  void whatAKilledProcessLeftIsClearedAway() throws IOException {
    TinyModel tiny = TinyModel.extract(directory);
    List<Path> whole = files(directory);
    Files.delete(tiny.reference());
    Files.writeString(directory.resolve("reference.json.part"), "[");
    TinyModel.extract(directory);
    assertEquals(whole, files(directory));
  }

  @Test
  void theDefaultDirectoryIsUsedAgain() {
    assertEquals(TinyModel.extract().base(), TinyModel.extract().base());
  }

  @Test
  void theWordNetLicenceComesWithTheModel() throws IOException {
    TinyModel.extract(directory);

    String notice = Files.readString(directory.resolve("NOTICE"), UTF_8);
    assertTrue(notice.contains("WordNet 3.0 Copyright 2006 by Princeton University."));
  }

  /** Extracts, and says where. */
  static final class Extracting {
    private Extracting() {}

    public static void main(String[] args) {
      System.out.println(TinyModel.extract().base());
    }
  }

  @Test
  void whereThereIsNoHomeATemporaryDirectoryEndsWithTheJvm()
      throws IOException, InterruptedException {
    Path home = Files.createFile(directory.resolve("a file, no home"));
    Path temporary = Files.createDirectory(directory.resolve("tmp"));
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Duser.home=" + home,
                "-Djava.io.tmpdir=" + temporary,
                "-cp",
                System.getProperty("java.class.path"),
                Extracting.class.getName())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, process.waitFor());
    assertTrue(said.startsWith(temporary.toString()), said);
    assertEquals(List.of(), files(temporary));
  }

  private static List<Path> files(Path root) throws IOException {
    try (Stream<Path> walk = Files.walk(root)) {
      return new ArrayList<>(
          walk.filter(Files::isRegularFile)
              .map(root::relativize)
              .filter(file -> !file.endsWith(".lock"))
              .sorted()
              .toList());
    }
  }
}
