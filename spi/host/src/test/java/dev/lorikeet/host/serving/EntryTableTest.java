package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class EntryTableTest {
  private record Lease(AdapterSpec spec) implements AdapterLease {
    static Lease of(long generation) {
      TargetModule target = TargetModule.of(0, Projection.Q);
      TargetSpec module =
          TargetSpec.builder(target)
              .rank(1)
              .inFeatures(1)
              .outFeatures(1)
              .scaling(1f)
              .type(ElementType.F32)
              .build();
      return new Lease(AdapterSpec.of("a" + generation, generation, List.of(module)));
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      return Optional.empty();
    }

    @Override
    public void close() {}
  }

  @Test
  void leasesOfOneGenerationShareASegment() {
    EntryTable table = new EntryTable();
    int first = table.slot(Lease.of(7));
    int second = table.slot(Lease.of(7));
    assertEquals(first, second);
    table.add(first, 0, 1f);
    table.add(second, 2, 1f);
    LoraBatch batch = new LoraBatch();
    table.fill(batch, 3);
    assertEquals(1, batch.segments());
    assertEquals(2, batch.entries());
  }

  @Test
  void entriesInAnyOrderComeOutGroupedByAdapterAndSortedByToken() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    EntryTable table = new EntryTable();
    LoraBatch batch = new LoraBatch();
    for (int round = 0; round < 300; round++) {
      int tokens = 1 + random.nextInt(200);
      int adapters = 1 + random.nextInt(40);
      table.clear();
      Map<List<Long>, Float> expected = new HashMap<>();
      List<Long> keys = new ArrayList<>();
      for (int i = random.nextInt(400); i > 0; i--) {
        long generation = random.nextInt(adapters);
        int token = random.nextInt(tokens);
        float weight = random.nextFloat();
        if (expected.putIfAbsent(List.of(generation, (long) token), weight) == null) {
          table.add(table.slot(Lease.of(generation)), token, weight);
          keys.add(generation);
        }
      }
      table.fill(batch, tokens);
      Map<List<Long>, Float> got = new HashMap<>();
      for (int s = 0; s < batch.segments(); s++) {
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
          got.put(
              List.of(batch.adapter(s).spec().generation(), (long) batch.token(e)),
              batch.weight(e));
        }
      }
      assertEquals(expected, got, "seed " + seed);
      assertEquals(keys.stream().distinct().count(), batch.segments(), "seed " + seed);
    }
  }
}
