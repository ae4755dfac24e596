package com.example.quickstart;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class FineTuneTest {
  @Test
  void theAdapterIsServedOnceItIsLearned() throws IOException {
    List<String> lines = Printed.by(FineTune::main);
    assertTrue(
        lines.getFirst().startsWith("base: The people of the United States"), lines::toString);
    assertTrue(lines.getLast().startsWith("house: The people of the house said"), lines::toString);
  }
}
