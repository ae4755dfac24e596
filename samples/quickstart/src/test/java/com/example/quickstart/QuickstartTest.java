package com.example.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class QuickstartTest {
  @Test
  void theLinesThatPeopleCopyRun() throws IOException {
    List<String> lines = Printed.by(Quickstart::main);
    assertTrue(
        lines.get(0).startsWith("scripture: land, and the other tribe"), () -> lines.toString());
    assertTrue(
        lines.get(1).startsWith("The ships of the house of the LORD"), () -> lines.toString());
    assertTrue(lines.get(2).startsWith("The ships, the whale"), () -> lines.toString());
    assertEquals(lines.get(2), "The ship" + lines.get(3));
  }
}
