package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Holds the committed binaries to the sources that they were made from. */
class ShippedKernelsTest {
  private static final Path SOURCES = Path.of("src/main/cuda");
  private static final Path BINARIES = Path.of("src/main/resources/dev/lorikeet/cuda");

  private static Map<String, String> manifest(String kind) throws Exception {
    TreeMap<String, String> entries = new TreeMap<>();
    for (String line : Files.readAllLines(BINARIES.resolve("kernels.manifest"))) {
      if (line.startsWith(kind + " ")) {
        String[] words = line.split(" ", -1);
        entries.put(words[2], words[1]);
      }
    }
    return entries;
  }

  private static Map<String, String> digests(Path folder, String... endings) throws Exception {
    TreeMap<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        if (List.of(endings).stream().anyMatch(name::endsWith)) {
          byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
          digests.put(name, HexFormat.of().formatHex(digest));
        }
      }
    }
    return digests;
  }

  @Test
  void binariesWereMadeFromTheSourcesAtHand() throws Exception {
    assertEquals(
        manifest("source"),
        digests(SOURCES, ".cu", ".cuh"),
        "the kernels changed: run plugin-cuda/compile-kernels and commit what it writes");
    assertEquals(manifest("binary"), digests(BINARIES, ".fatbin"));
  }

  @Test
  void everyKernelFileIsThere() throws Exception {
    TreeSet<String> expected = new TreeSet<>();
    Kernels.FILES.forEach(file -> expected.add(file + ".fatbin"));
    assertEquals(expected, new TreeSet<>(manifest("binary").keySet()));
    for (String file : Kernels.FILES) {
      assertTrue(Kernels.image(file).length > 1000, file);
    }
  }

  @Test
  void everyKernelIsCompiledForEveryMachineWithoutSpills() throws Exception {
    List<String> table = Files.readAllLines(Path.of("KERNELS.md"), StandardCharsets.UTF_8);
    for (String machine : List.of("sm_80", "sm_89", "sm_90", "sm_100")) {
      List<String> rows =
          table.stream().filter(row -> row.contains("| " + machine + " |")).toList();
      assertEquals(18, rows.size(), machine);
      assertFalse(rows.stream().anyMatch(row -> !row.endsWith("| 0 |")), "spills on " + machine);
    }
  }
}
