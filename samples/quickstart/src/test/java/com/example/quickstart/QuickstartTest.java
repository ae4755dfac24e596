package com.example.quickstart;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.Test;

class QuickstartTest {
  @Test
  void theLinesThatPeopleCopyRun() {
    PrintStream before = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true, UTF_8));
    try {
      Quickstart.main(new String[0]);
    } finally {
      System.setOut(before);
    }

    List<String> lines = printed.toString(UTF_8).lines().toList();
    assertTrue(
        lines.get(0).startsWith("scripture: land, and the other tribe"), () -> lines.toString());
    assertTrue(
        lines.get(1).startsWith("The ships of the house of the LORD"), () -> lines.toString());
    assertTrue(lines.get(2).startsWith("The ships, the whale"), () -> lines.toString());
    assertEquals(lines.get(2), "The ship" + lines.get(3));
  }
}
