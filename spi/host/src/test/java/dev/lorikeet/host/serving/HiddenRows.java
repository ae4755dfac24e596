package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.model.HiddenObserver;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Keeps the hidden states of a request, whose positions must come in order. */
final class HiddenRows implements HiddenObserver {
  private record Place(HiddenPoint point, int layer) {}

  private final Map<Place, List<float[]>> rows = new HashMap<>();
  private int restarts;

  RequestObserver observer() {
    return RequestObserver.hidden(EnumSet.allOf(HiddenPoint.class), this);
  }

  @Override
  public void onHidden(HiddenPoint point, int layer, int firstPosition, Tensor shown) {
    assertTrue(shown.segment().isReadOnly(), "read-only");
    List<float[]> known = rows.computeIfAbsent(new Place(point, layer), p -> new ArrayList<>());
    if (firstPosition == 0 && !known.isEmpty() && point == HiddenPoint.EMBEDDING) {
      restarts++;
    }
    assertTrue(firstPosition <= known.size(), "a gap before position " + firstPosition);
    for (int r = 0; r < shown.rows(); r++) {
      float[] row =
          shown
              .segment()
              .asSlice(r * shown.rowStrideBytes(), shown.columns() * Float.BYTES)
              .toArray(ValueLayout.JAVA_FLOAT);
      if (firstPosition + r < known.size()) {
        assertArrayEquals(known.get(firstPosition + r), row, "a row that is shown again");
      } else {
        known.add(row);
      }
    }
  }

  /** Returns how often the positions began anew. */
  int restarts() {
    return restarts;
  }

  List<float[]> of(HiddenPoint point, int layer) {
    return rows.getOrDefault(new Place(point, layer), List.of());
  }

  /** Checks that these and no others were seen. */
  void expectPositions(int positions, int layers) {
    assertEquals(layers + 2, rows.size(), rows.keySet().toString());
    rows.forEach((place, list) -> assertEquals(positions, list.size(), place.toString()));
    assertEquals(positions, of(HiddenPoint.EMBEDDING, 0).size());
    assertEquals(positions, of(HiddenPoint.LAYER_INPUT, layers - 1).size());
    assertEquals(positions, of(HiddenPoint.FINAL, layers).size());
  }

  static void assertSame(List<float[]> expected, List<float[]> found, String what) {
    assertEquals(expected.size(), found.size(), what);
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), found.get(i), what + ", row " + i);
    }
  }

  void expectSame(HiddenRows other) {
    assertEquals(rows.keySet(), other.rows.keySet());
    rows.forEach((place, list) -> assertSame(list, other.of(place.point, place.layer), "" + place));
  }
}
