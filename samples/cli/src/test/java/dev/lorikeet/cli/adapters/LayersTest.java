package dev.lorikeet.cli.adapters;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class LayersTest {
  @Test
  void layersAreWrittenAsRuns() {
    assertEquals("0-2,4,8-9", Layers.text(List.of(0, 1, 2, 4, 8, 9)));
    assertEquals("3", Layers.text(List.of(3)));
  }
}
