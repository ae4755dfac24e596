package dev.lorikeet.arrow.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.TinyModel;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PageLayoutTest {
  private static final ModelShape SMALL =
      ModelShape.builder()
          .layers(30)
          .hidden(576)
          .intermediate(1536)
          .heads(9)
          .kvHeads(3)
          .headDim(64)
          .vocabulary(49_152)
          .build(); // 135 M parameters
  private static final ModelShape LLAMA_2_7B =
      ModelShape.builder()
          .layers(32)
          .hidden(4096)
          .intermediate(11_008)
          .heads(32)
          .kvHeads(32)
          .headDim(128)
          .vocabulary(32_000)
          .build();
  private static final ModelShape LLAMA_3_8B =
      ModelShape.builder()
          .layers(32)
          .hidden(4096)
          .intermediate(14_336)
          .heads(32)
          .kvHeads(8)
          .headDim(128)
          .vocabulary(128_256)
          .build();

  private static List<TargetSpec> targets(
      ModelShape shape, int rank, ElementType type, Collection<Projection> projections) {
    List<TargetSpec> targets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : projections) {
        targets.add(
            TargetSpec.builder(TargetModule.of(layer, projection))
                .rank(rank)
                .inFeatures(shape.inFeatures(projection))
                .outFeatures(shape.outFeatures(projection))
                .scaling(2)
                .type(type)
                .build());
      }
    }
    return targets;
  }

  private static double waste(String name, List<TargetSpec> targets, int pageBytes) {
    long bytes = targets.stream().mapToLong(TargetSpec::bytes).sum();
    int pages = PageLayout.of(targets, pageBytes).pages();
    double waste = 1 - bytes / ((double) pages * pageBytes);
    System.out.printf(
        Locale.ROOT,
        "%-32s %,12d bytes %6d pages  %.1f %% waste%n",
        name,
        bytes,
        pages,
        100 * waste);
    return waste;
  }

  @Test
  void lessThanFivePercentOfPagesIsWastedForRealisticAdapters() {
    int page = PoolConfig.DEFAULT_PAGE_BYTES;
    var all = Projection.ofLayer();
    var attention = EnumSet.of(Projection.Q, Projection.V);
    for (int rank : new int[] {8, 16, 64}) {
      for (ElementType type : ElementType.values()) {
        String name = "rank " + rank + " " + type;
        assertTrue(waste("135M all, " + name, targets(SMALL, rank, type, all), page) < 0.05);
        assertTrue(waste("7B all, " + name, targets(LLAMA_2_7B, rank, type, all), page) < 0.05);
        assertTrue(
            waste("7B q,v, " + name, targets(LLAMA_2_7B, rank, type, attention), page) < 0.05);
        assertTrue(waste("8B all, " + name, targets(LLAMA_3_8B, rank, type, all), page) < 0.05);
      }
    }
    // An adapter of less than three pages wastes part of its last one, whatever the packing.
    var tiny = targets(TinyModel.SHAPE, 8, ElementType.BF16, all);
    assertTrue(waste("tiny model, rank 8 BF16", tiny, page) < 0.25);
    assertTrue(waste("tiny model, rank 8 BF16, 16 KiB", tiny, 16 * 1024) < 0.07);
  }

  @Test
  void rowsOfAnySizesStayInTheirPageAndNeverOverlap() {
    long seed = new Random().nextLong();
    System.out.println("rowsOfAnySizesStayInTheirPageAndNeverOverlap seed " + seed);
    var random = new Random(seed);
    for (int i = 0; i < 100; i++) {
      int pageBytes = 4096 + 64 * random.nextInt(200);
      List<TargetSpec> targets = new ArrayList<>();
      int modules = 1 + random.nextInt(20);
      for (int m = 0; m < modules; m++) {
        ElementType type = List.of(ElementType.values()).get(random.nextInt(3));
        targets.add(
            TargetSpec.builder(TargetModule.of(m, Projection.Q))
                .rank(1 + random.nextInt(40))
                .inFeatures(1 + random.nextInt(pageBytes / type.bytes()))
                .outFeatures(1 + random.nextInt(pageBytes / type.bytes()))
                .scaling(1)
                .type(type)
                .build());
      }
      PageLayout layout = PageLayout.of(targets, pageBytes);
      int[] pages = IntStream.range(0, layout.pages()).map(p -> 2 * p + 1).toArray();
      TreeMap<Long, Long> taken = new TreeMap<>();
      int rows = 0;
      for (int t = 0; t < targets.size(); t++) {
        TargetSpec spec = targets.get(t);
        for (int factor = 0; factor < 2; factor++) {
          long bytes =
              (long) (factor == 0 ? spec.inFeatures() : spec.outFeatures()) * spec.type().bytes();
          for (long offset : layout.rowOffsets(2 * t + factor, pages)) {
            assertEquals(0, offset % 4);
            assertEquals(1, offset / pageBytes % 2);
            assertEquals(offset / pageBytes, (offset + bytes - 1) / pageBytes);
            taken.put(offset, offset + bytes);
            rows++;
          }
        }
      }
      assertEquals(rows, taken.size());
      long end = 0;
      for (var row : taken.entrySet()) {
        assertTrue(row.getKey() >= end);
        end = row.getValue();
      }
    }
  }

  @Test
  void rowsOfWholeCacheLinesBeginOnCacheLines() {
    var targets = targets(SMALL, 16, ElementType.BF16, Projection.ofLayer());
    PageLayout layout = PageLayout.of(targets, PoolConfig.DEFAULT_PAGE_BYTES);
    int[] pages = IntStream.range(0, layout.pages()).toArray();
    for (int factor = 0; factor < 2 * targets.size(); factor++) {
      for (long offset : layout.rowOffsets(factor, pages)) {
        assertEquals(0, offset % 64);
      }
    }
  }
}
