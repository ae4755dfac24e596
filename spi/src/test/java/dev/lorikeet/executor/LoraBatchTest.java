package dev.lorikeet.executor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class LoraBatchTest {
  private record Lease(AdapterSpec spec) implements AdapterLease {
    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      return Optional.empty();
    }

    @Override
    public void close() {}
  }

  private static AdapterLease lease(String id) {
    TargetModule target = TargetModule.of(0, Projection.Q);
    TargetSpec module =
        TargetSpec.builder(target)
            .rank(1)
            .inFeatures(1)
            .outFeatures(1)
            .scaling(1f)
            .type(ElementType.F32)
            .build();
    return new Lease(AdapterSpec.of(id, 1, List.of(module)));
  }

  @Test
  void segmentsAreCompressedRows() {
    AdapterLease a = lease("a");
    AdapterLease b = lease("b");
    LoraBatch batch = new LoraBatch().reset(4);
    batch.beginSegment(a).add(0, 1f).add(2, 0.5f);
    batch.beginSegment(b);
    batch.beginSegment(a).add(1, 1f);
    assertEquals(4, batch.tokens());
    assertEquals(3, batch.segments());
    assertEquals(3, batch.entries());
    assertEquals(a, batch.adapter(0));
    assertEquals(b, batch.adapter(1));
    assertEquals(2, batch.segmentEnd(0));
    assertEquals(2, batch.segmentStart(1));
    assertEquals(2, batch.segmentEnd(1));
    assertEquals(2, batch.token(1));
    assertEquals(0.5f, batch.weight(1));
    assertEquals(1, batch.token(2));
  }

  @Test
  void largeBatchesGrowAndResetEmpties() {
    LoraBatch batch = new LoraBatch().reset(10_000);
    for (int s = 0; s < 100; s++) {
      batch.beginSegment(lease("a" + s));
      for (int t = s; t < 10_000; t += 100) {
        batch.add(t, s);
      }
    }
    assertEquals(10_000, batch.entries());
    for (int s = 0; s < 100; s++) {
      assertEquals(100, batch.segmentEnd(s) - batch.segmentStart(s));
      assertEquals(s, batch.token(batch.segmentStart(s)));
      assertEquals((float) s, batch.weight(batch.segmentStart(s)));
    }
    batch.reset(1);
    assertEquals(0, batch.segments());
    assertEquals(0, batch.entries());
    assertThrows(IndexOutOfBoundsException.class, () -> batch.adapter(0));
  }

  @Test
  void everyChangeChangesTheRevision() {
    LoraBatch batch = new LoraBatch();
    long first = batch.revision();
    batch.reset(2);
    long second = batch.revision();
    batch.beginSegment(lease("a"));
    long third = batch.revision();
    batch.add(0, 1f);
    assertNotEquals(first, second);
    assertNotEquals(second, third);
    assertNotEquals(third, batch.revision());
  }

  @Test
  void whatIsNoBatchIsRefused() {
    LoraBatch batch = new LoraBatch().reset(3);
    assertThrows(IllegalStateException.class, () -> batch.add(0, 1f));
    batch.beginSegment(lease("a")).add(1, 1f);
    assertThrows(IllegalArgumentException.class, () -> batch.add(1, 1f));
    assertThrows(IllegalArgumentException.class, () -> batch.add(0, 1f));
    assertThrows(IndexOutOfBoundsException.class, () -> batch.add(3, 1f));
    assertThrows(IllegalArgumentException.class, () -> batch.add(2, Float.NaN));
    assertThrows(IllegalArgumentException.class, () -> new LoraBatch().reset(-1));
    assertEquals(1, batch.entries());
  }
}
