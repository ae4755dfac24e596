package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Mutated tokenizers end in a tokenizer or a {@code LorikeetException}, in a process of their own.
 * {@code -Dlorikeet.fuzz.mutations=100000} makes it more of them, {@code -Dlorikeet.fuzz.seed=1}
 * the same ones again.
 */
class TokenizerFuzzTest {
  private static final int MUTATIONS = 3000;
  private static final int TAIL = 4000;

  @TempDir Path directory;

  @Test
  void mutatedTokenizersNeitherEndTheProcessNorHangNorFailInOtherWays() throws Exception {
    long seed = Long.getLong("lorikeet.fuzz.seed", new Random().nextLong());
    int mutations = Integer.getInteger("lorikeet.fuzz.mutations", MUTATIONS);
    Process process = start(seed, mutations);
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(
        0,
        process.waitFor(),
        () ->
            "seed "
                + seed
                + ", the last number is the mutation's: "
                + output.substring(Math.max(0, output.length() - TAIL)));
  }

  private Process start(long seed, int mutations) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-Xmx512m",
            "-cp",
            System.getProperty("java.class.path"),
            TokenizerFuzz.class.getName(),
            directory.toString(),
            Long.toString(seed),
            "0",
            Integer.toString(mutations))
        .redirectErrorStream(true)
        .start();
  }
}
