package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights in pages against a computation of their own from the same files. */
class AdapterWeightsTest {
  @TempDir Path directory;

  private static PagePool pool(int pageBytes) {
    return new ArrowPagePoolProvider().open(PoolConfig.of(16L << 20, pageBytes));
  }

  private static AdapterStore store(ModelShape shape, PagePool pool) {
    return new ArrowAdapterStoreProvider().open(StoreConfig.of(shape, pool));
  }

  private static void assertDeltas(AdapterLease lease, PlainPeft plain) {
    for (TargetSpec spec : lease.spec().targets()) {
      var weights = lease.weights(spec.target()).orElseThrow();
      assertEquals(spec.rank(), weights.rank());
      assertEquals(spec.scaling(), weights.scaling());
      double[][] expected = plain.delta(spec.target(), spec.aBlocks(), spec.bBlocks());
      double[][] found = PlainPeft.delta(weights);
      assertEquals(expected.length, found.length);
      for (int o = 0; o < expected.length; o++) {
        assertArrayEquals(expected[o], found[o], 1e-9, () -> spec.target() + " of " + spec);
      }
    }
  }

  @Test
  void allAdaptersOfTheTinyModelAreInMemoryAsInTheirFiles() throws IOException {
    Map<String, Float> scalings =
        Map.of("scripture", 2f, "voyage", 2f, "jargon", 1f, "glossary", 4f);
    Map<String, Integer> ranks = Map.of("scripture", 8, "voyage", 16, "jargon", 8, "glossary", 4);
    try (PagePool pool = pool(PoolConfig.DEFAULT_PAGE_BYTES);
        AdapterStore store = store(TinyModel.SHAPE, pool)) {
      for (String name : TinyModel.ADAPTERS) {
        Path path = TinyModel.copy(name, directory);
        AdapterSpec spec = store.register(new AdapterSource(name, path));
        assertEquals(42, spec.targets().size());
        assertEquals(ranks.get(name), spec.maxRank());
        assertEquals(scalings.get(name), spec.targets().getFirst().scaling());
        assertEquals(
            name.equals("voyage") ? ElementType.F32 : ElementType.BF16,
            spec.targets().getFirst().type());
        try (AdapterLease lease = store.acquire(name)) {
          assertDeltas(lease, new PlainPeft(path));
        }
      }
      assertEquals(4, store.stats().resident());
      assertEquals(pool.stats().adapterPages(), store.stats().residentPages());
    }
  }

  /** PEFT casts A alone where it trains in two types; the wider holds the values of both. */
  @Test
  void factorsOfTwoTypesAreKeptInTheOneThatHoldsBoth() throws IOException {
    ModelShape shape = PeftWriter.SHAPE;
    List<String> types = List.of("F32", "F16", "BF16");
    try (PagePool pool = pool(4096);
        AdapterStore store = store(shape, pool)) {
      for (int i = 0; i < 9; i++) {
        String a = types.get(i / 3);
        String b = types.get(i % 3);
        var random = new Random(i);
        PeftWriter writer =
            PeftWriter.of(shape, 5, a, EnumSet.of(Projection.Q, Projection.DOWN), random);
        for (int layer = 0; layer < shape.layers(); layer++) {
          writer.tensors.put(
              PeftWriter.name(layer, Projection.DOWN, 'B'),
              PeftWriter.random(b, shape.outFeatures(Projection.DOWN), 5, random));
        }
        Path path = writer.write(directory.resolve("types-" + i));
        AdapterSpec spec = store.register(new AdapterSource("a", path));
        for (TargetSpec target : spec.targets()) {
          boolean mixed = target.target().projection() == Projection.DOWN && !a.equals(b);
          assertEquals(ElementType.valueOf(mixed ? "F32" : a), target.type());
        }
        try (AdapterLease lease = store.acquire("a")) {
          assertDeltas(lease, new PlainPeft(path));
        }
      }
    }
  }

  @Test
  void randomAdaptersAreInMemoryAsInTheirFiles() throws IOException {
    long seed = new Random().nextLong();
    System.out.println("randomAdaptersAreInMemoryAsInTheirFiles seed " + seed);
    var random = new Random(seed);
    for (int i = 0; i < 25; i++) {
      int headDim = 1 + random.nextInt(12);
      int kvHeads = 1 + random.nextInt(3);
      int heads = kvHeads * (1 + random.nextInt(3));
      var shape =
          ModelShape.builder()
              .layers(1 + random.nextInt(3))
              .hidden(1 + random.nextInt(60))
              .intermediate(1 + random.nextInt(400))
              .heads(heads)
              .kvHeads(kvHeads)
              .headDim(headDim)
              .vocabulary(50)
              .build();
      var projections = EnumSet.of(Projection.ofLayer().get(random.nextInt(7)));
      Projection.ofLayer().stream().filter(p -> random.nextBoolean()).forEach(projections::add);
      int rank = 1 + random.nextInt(random.nextInt(5) == 0 ? 90 : 20);
      String dtype = List.of("F32", "F16", "BF16").get(random.nextInt(3));
      PeftWriter writer = PeftWriter.of(shape, rank, dtype, projections, random);
      if (random.nextBoolean()) {
        writer.config.put("use_rslora", true);
      }
      Path path = writer.write(directory.resolve("random-" + i));
      try (PagePool pool = pool(4096 + 64 * random.nextInt(100));
          AdapterStore store = store(shape, pool)) {
        AdapterSpec spec = store.register(new AdapterSource("a", path));
        assertEquals(projections.size() * shape.layers(), spec.targets().size());
        double scaling = writer.config.has("use_rslora") ? 2 * rank / Math.sqrt(rank) : 2;
        assertEquals((float) scaling, spec.targets().getFirst().scaling());
        try (AdapterLease lease = store.acquire("a")) {
          assertDeltas(lease, new PlainPeft(path));
          for (int t = 0; t < shape.layers() * 7 + 9; t++) {
            var target = TargetModule.of(t / 7, Projection.ofLayer().get(t % 7));
            boolean there =
                projections.contains(target.projection()) && target.layer() < shape.layers();
            assertEquals(there, lease.weights(target).isPresent());
          }
        }
      }
    }
  }

  @Test
  void blockDiagonalAdaptersKeepTheirBlocks() throws IOException {
    long seed = new Random().nextLong();
    System.out.println("blockDiagonalAdaptersKeepTheirBlocks seed " + seed);
    var random = new Random(seed);
    for (int blocks : new int[] {1, 2, 4}) {
      ModelShape shape = PeftWriter.SHAPE;
      var writer = new PeftWriter(shape);
      writer.config.put("r", 8).put("lora_alpha", 8);
      writer.config.putArray("target_modules").add("q_proj").add("down_proj").add("v_proj");
      var bd = writer.config.putObject("use_bdlora");
      bd.putArray("target_modules_bd_a").add("q_proj");
      bd.putArray("target_modules_bd_b").add("down");
      bd.put("nblocks", blocks);
      bd.put("match_strict", false);
      for (int layer = 0; layer < shape.layers(); layer++) {
        writer.add(layer, Projection.Q, 8, blocks, 1, "F16", random);
        writer.add(layer, Projection.DOWN, 8, 1, blocks, "F16", random);
        writer.add(layer, Projection.V, 8, 1, 1, "F16", random);
      }
      Path path = writer.write(directory.resolve("bd-" + blocks));
      try (PagePool pool = pool(4096);
          AdapterStore store = store(shape, pool)) {
        AdapterSpec spec = store.register(new AdapterSource("bd", path));
        for (TargetSpec target : spec.targets()) {
          Projection projection = target.target().projection();
          assertEquals(projection == Projection.Q ? blocks : 1, target.aBlocks());
          assertEquals(projection == Projection.DOWN ? blocks : 1, target.bBlocks());
        }
        try (AdapterLease lease = store.acquire("bd")) {
          assertDeltas(lease, new PlainPeft(path));
        }
      }
    }
  }

  @Test
  void rowsLieWithinPagesOfTheAdapterAndNeverOverlap() throws IOException {
    var random = new Random(7);
    var writer =
        PeftWriter.of(PeftWriter.SHAPE, 5, "BF16", Set.copyOf(Projection.ofLayer()), random);
    Path path = writer.write(directory.resolve("rows"));
    try (PagePool pool = pool(4096);
        AdapterStore store = store(PeftWriter.SHAPE, pool)) {
      AdapterSpec spec = store.register(new AdapterSource("a", path));
      try (AdapterLease lease = store.acquire("a")) {
        var taken = new java.util.TreeMap<Long, Long>();
        for (TargetSpec target : spec.targets()) {
          var weights = lease.weights(target.target()).orElseThrow();
          for (var factor : List.of(weights.a(), weights.b())) {
            long bytes = (long) factor.rowLength() * factor.type().bytes();
            for (int r = 0; r < factor.rank(); r++) {
              long offset = factor.rowOffset(r);
              assertEquals(offset / 4096, (offset + bytes - 1) / 4096);
              taken.put(offset, offset + bytes);
            }
          }
        }
        long end = 0;
        for (var row : taken.entrySet()) {
          assertTrue(row.getKey() >= end);
          end = row.getValue();
        }
        assertEquals(spec.targets().size() * 10, taken.size());
      }
    }
  }
}
