package dev.lorikeet.training.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinesTest {
  private static final int MOST = 100_000;

  @TempDir Path folder;

  private List<String> read(byte[] bytes) throws IOException {
    Path file = Files.write(folder.resolve("lines"), bytes);
    List<String> read = new ArrayList<>();
    try (Lines lines = new Lines(FileChannel.open(file), MOST)) {
      while (lines.next()) {
        assertEquals(read.size() + 1, lines.number());
        read.add(
            lines.tooLong() ? "too long" : StandardCharsets.UTF_8.decode(lines.bytes()).toString());
      }
      assertFalse(lines.next());
    }
    return read;
  }

  @Test
  void linesOfAllLengthsAreSplitAsTheyWereJoined() throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int run = 0; run < 30; run++) {
      List<String> expected = new ArrayList<>();
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      for (int n = random.nextInt(12); n > 0; n--) {
        int length =
            switch (random.nextInt(4)) {
              case 0 -> random.nextInt(3);
              case 1 -> MOST - 2 + random.nextInt(5);
              case 2 -> random.nextInt(4 * MOST);
              default -> random.nextInt(1 << 16);
            };
        String line = String.valueOf((char) ('a' + random.nextInt(26))).repeat(length);
        expected.add(length > MOST ? "too long" : line);
        boolean last = n == 1 && length > 0 && random.nextBoolean();
        bytes.writeBytes(line.getBytes(StandardCharsets.UTF_8));
        bytes.writeBytes(
            (last ? "" : random.nextBoolean() ? "\n" : "\r\n").getBytes(StandardCharsets.UTF_8));
      }
      assertEquals(expected, read(bytes.toByteArray()), "seed " + seed + ", run " + run);
    }
  }
}
