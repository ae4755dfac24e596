package com.example.quickstart;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.Test;

class FineTuneTest {
  @Test
  void theAdapterIsServedOnceItIsLearned() throws IOException {
    PrintStream before = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true, UTF_8));
    try {
      FineTune.main(new String[0]);
    } finally {
      System.setOut(before);
    }

    List<String> lines = printed.toString(UTF_8).lines().toList();
    assertTrue(
        lines.getFirst().startsWith("base: The people of the United States"), lines::toString);
    assertTrue(lines.getLast().startsWith("house: The people of the house said"), lines::toString);
  }
}
