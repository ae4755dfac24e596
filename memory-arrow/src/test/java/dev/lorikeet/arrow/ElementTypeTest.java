package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.store.PlainRounding;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Stores that keep adapters in a narrower type than their files have. */
class ElementTypeTest {
  private static final ModelShape SHAPE = PeftWriter.SHAPE;
  private static final int PAGE = 4096;
  private static final Map<String, ElementType> NARROW =
      Map.of("bf16", ElementType.BF16, "f16", ElementType.F16);

  @TempDir Path directory;
  private PagePool pool;

  @BeforeEach
  void open() {
    pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, PAGE));
  }

  @AfterEach
  void close() {
    assertEquals(0, pool.stats().usedPages());
    pool.close();
  }

  /** Opens a store with the option. */
  static AdapterStore store(ModelShape shape, PagePool pool, String elementType) {
    return new ArrowAdapterStoreProvider()
        .open(StoreConfig.of(shape, pool).withOptions(Map.of("element-type", elementType)));
  }

  private AdapterStore store(String elementType) {
    return store(SHAPE, pool, elementType);
  }

  /** Returns a writer of an adapter of rank 6 on three projections of all layers. */
  static PeftWriter writer(String dtype) {
    return PeftWriter.of(
        SHAPE, 6, dtype, EnumSet.of(Projection.Q, Projection.V, Projection.DOWN), new Random(5));
  }

  static AdapterSource source(Path path) {
    return new AdapterSource("a", path);
  }

  /** Puts a number into an F32 tensor. */
  static void put(PeftWriter.Tensor tensor, int index, float value) {
    ByteBuffer.wrap(tensor.data).order(ByteOrder.LITTLE_ENDIAN).putFloat(4 * index, value);
  }

  /** Asserts that every weight is the one of the file, rounded, bit for bit. */
  private static void assertRounded(AdapterLease lease, Path peft, ElementType type)
      throws IOException {
    var plain = new PlainPeft(peft);
    for (TargetSpec spec : lease.spec().targets()) {
      assertEquals(type, spec.type());
      var weights = lease.weights(spec.target()).orElseThrow();
      String name = "base_model.model." + spec.target().moduleName();
      double[][] a = plain.matrix(name + ".lora_A.weight");
      double[][] b = plain.matrix(name + ".lora_B.weight");
      int rowsInBlock = spec.rank() / spec.bBlocks();
      for (int r = 0; r < spec.rank(); r++) {
        for (int i = 0; i < weights.a().rowLength(); i++) {
          assertWeight(a[r][i], weights.a(), r, i, type);
        }
        for (int i = 0; i < weights.b().rowLength(); i++) {
          double stored = b[weights.b().rowStart(r) + i][r % rowsInBlock];
          assertWeight(stored, weights.b(), r, i, type);
        }
      }
    }
  }

  private static void assertWeight(
      double stored, LoraFactor factor, int row, int column, ElementType type) {
    assertEquals(type, factor.type());
    long at = factor.rowOffset(row) + (long) column * type.bytes();
    double found =
        type == ElementType.F32
            ? factor.memory().get(ValueLayout.JAVA_FLOAT_UNALIGNED, at)
            : PlainRounding.decode(factor.memory().get(ValueLayout.JAVA_SHORT_UNALIGNED, at), type);
    double expected = PlainRounding.round(stored, type);
    if (Double.doubleToRawLongBits(expected) != Double.doubleToRawLongBits(found)) {
      throw new AssertionError(
          "row " + row + ", column " + column + ": expected " + expected + ", found " + found);
    }
  }

  @Test
  void randomF32AdaptersAreRoundedInBothFactorsFromDirectoriesAndArrowFiles() throws IOException {
    long seed = new Random().nextLong();
    System.out.println("randomF32AdaptersAreRounded seed " + seed);
    var random = new Random(seed);
    for (int i = 0; i < 10; i++) {
      int kvHeads = 1 + random.nextInt(3);
      var shape =
          ModelShape.builder()
              .layers(1 + random.nextInt(2))
              .hidden(1 + random.nextInt(60))
              .intermediate(1 + random.nextInt(1000))
              .heads(kvHeads * (1 + random.nextInt(3)))
              .kvHeads(kvHeads)
              .headDim(1 + random.nextInt(12))
              .vocabulary(50)
              .build();
      int rank = 1 + random.nextInt(i == 0 ? 200 : 20); // the first in several chunks
      Path peft =
          PeftWriter.of(
                  shape,
                  rank,
                  "F32",
                  EnumSet.of(Projection.V, Projection.UP, Projection.DOWN),
                  random)
              .write(directory.resolve("random-" + i));
      Path arrow = directory.resolve("random-" + i + ".arrow");
      AdapterFiles.convert(peft, shape, arrow);
      for (var type : NARROW.entrySet()) {
        try (PagePool large = new ArrowPagePoolProvider().open(PoolConfig.of(8L << 20, PAGE));
            AdapterStore store = store(shape, large, type.getKey())) {
          for (Path path : List.of(peft, arrow)) {
            AdapterSpec spec = store.register(source(path));
            try (AdapterLease lease = store.acquire("a")) {
              assertEquals(spec, lease.spec());
              assertRounded(lease, peft, type.getValue());
            }
          }
        }
      }
    }
  }

  @Test
  void chunksOfTheFileMeetWithoutSeams() throws IOException {
    var wide =
        ModelShape.builder()
            .layers(1)
            .hidden(40)
            .intermediate(1500)
            .heads(3)
            .kvHeads(1)
            .headDim(8)
            .vocabulary(100)
            .build();
    Path peft =
        PeftWriter.of(wide, 70, "F32", EnumSet.of(Projection.UP, Projection.DOWN), new Random(8))
            .write(directory.resolve("wide")); // 420,000 bytes a factor, read 256 KiB at a time
    try (PagePool large = new ArrowPagePoolProvider().open(PoolConfig.of(8L << 20, 8192))) {
      for (var type : NARROW.entrySet()) {
        try (AdapterStore store = store(wide, large, type.getKey())) {
          store.register(source(peft));
          try (AdapterLease lease = store.acquire("a")) {
            assertRounded(lease, peft, type.getValue());
          }
        }
      }
    }
  }

  @Test
  void blockDiagonalFactorsAreRoundedWhereTheyLie() throws IOException {
    for (int blocks : new int[] {2, 4}) {
      var random = new Random(blocks);
      var writer = new PeftWriter(SHAPE);
      writer.config.put("r", 8).put("lora_alpha", 8);
      writer.config.putArray("target_modules").add("q_proj").add("down_proj");
      var bd = writer.config.putObject("use_bdlora").put("nblocks", blocks);
      bd.putArray("target_modules_bd_a").add("q_proj");
      bd.putArray("target_modules_bd_b").add("down_proj");
      for (int layer = 0; layer < SHAPE.layers(); layer++) {
        writer.add(layer, Projection.Q, 8, blocks, 1, "F32", random);
        writer.add(layer, Projection.DOWN, 8, 1, blocks, "F32", random);
      }
      Path peft = writer.write(directory.resolve("bd-" + blocks));
      for (var type : NARROW.entrySet()) {
        try (AdapterStore store = store(type.getKey())) {
          store.register(source(peft));
          try (AdapterLease lease = store.acquire("a")) {
            assertEquals(blocks, lease.spec().targets().getFirst().aBlocks());
            assertRounded(lease, peft, type.getValue());
          }
        }
      }
    }
  }

  @Test
  void withoutTheOptionWeightsStayAsInTheFileBitForBit() throws IOException {
    var writer = writer("F32");
    for (char factor : new char[] {'A', 'B'}) {
      PeftWriter.Tensor tensor = writer.tensor(1, Projection.V, factor);
      put(tensor, 0, -0f);
      put(tensor, 1, Float.MIN_VALUE);
      put(tensor, 2, Float.MAX_VALUE);
      put(tensor, 3, 1.00000012f);
    }
    Path peft = writer.write(directory.resolve("a"));
    for (Map<String, String> options :
        List.of(Map.<String, String>of(), Map.of("element-type", "stored"))) {
      try (AdapterStore store =
          new ArrowAdapterStoreProvider().open(StoreConfig.of(SHAPE, pool).withOptions(options))) {
        store.register(source(peft));
        try (AdapterLease lease = store.acquire("a")) {
          assertRounded(lease, peft, ElementType.F32);
        }
      }
    }
  }

  @Test
  void weightsOf16BitsStayAsTheyAreWhateverIsAskedFor() throws IOException {
    for (ElementType stored : NARROW.values()) {
      Path peft = writer(stored.name()).write(directory.resolve(stored.name()));
      for (String option : List.of("stored", "bf16", "f16")) {
        try (AdapterStore store = store(option)) {
          store.register(source(peft));
          try (AdapterLease lease = store.acquire("a")) {
            assertRounded(lease, peft, stored);
          }
        }
      }
    }
  }

  @Test
  void onlyTheF32ModulesOfAnAdapterOfSeveralTypesAreNarrowed() throws IOException {
    var writer = writer("F32");
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      writer.add(layer, Projection.V, 6, 1, 1, "F16", new Random(layer));
    }
    Path peft = writer.write(directory.resolve("a"));
    try (AdapterStore store = store("bf16")) {
      AdapterSpec spec = store.register(source(peft));
      for (TargetSpec target : spec.targets()) {
        assertEquals(
            target.target().projection() == Projection.V ? ElementType.F16 : ElementType.BF16,
            target.type());
      }
      try (AdapterLease lease = store.acquire("a")) {
        var f16 = lease.weights(TargetModule.of(1, Projection.V)).orElseThrow();
        var bf16 = lease.weights(TargetModule.of(1, Projection.Q)).orElseThrow();
        var plain = new PlainPeft(peft);
        String layer = "base_model.model.model.layers.1.self_attn.";
        double[][] v = plain.matrix(layer + "v_proj.lora_A.weight");
        double[][] q = plain.matrix(layer + "q_proj.lora_A.weight");
        for (int i = 0; i < SHAPE.hidden(); i++) {
          assertWeight(v[5][i], f16.a(), 5, i, ElementType.F16);
          assertWeight(q[5][i], bf16.a(), 5, i, ElementType.BF16);
        }
      }
    }
  }

  @Test
  void narrowAdaptersTakeHalfTheMemoryInEveryAccount() {
    Path peft = writer("F32").write(directory.resolve("a"));
    long stored;
    int pages;
    try (AdapterStore store = store("stored")) {
      stored = store.register(source(peft)).bytes();
      store.acquire("a").close();
      assertEquals(stored, store.stats().residentBytes());
      pages = store.stats().residentPages();
    }
    for (String option : NARROW.keySet()) {
      try (AdapterStore store = store(option)) {
        AdapterSpec spec = store.register(source(peft));
        assertEquals(0, pool.stats().usedPages());
        assertEquals(stored, 2 * spec.bytes());
        assertEquals(spec, store.find("a").orElseThrow());
        try (AdapterLease lease = store.acquire("a")) {
          assertEquals(spec, lease.spec());
          assertEquals(stored, 2 * store.stats().residentBytes());
          assertEquals((pages + 1) / 2, store.stats().residentPages());
          assertEquals((pages + 1) / 2, pool.stats().adapterPages());
        }
      }
    }
  }

  @Test
  void theLargestWeightsThatRoundIntoRangeAreKept() throws IOException {
    Map<String, Float> largest =
        Map.of("f16", 65_519.996f, "bf16", Float.intBitsToFloat(0x7F7F_7FFF));
    for (var each : largest.entrySet()) {
      var writer = writer("F32");
      put(writer.tensor(0, Projection.Q, 'A'), 30, each.getValue());
      put(writer.tensor(1, Projection.DOWN, 'B'), 30, -each.getValue());
      Path peft = writer.write(directory.resolve(each.getKey()));
      try (AdapterStore store = store(each.getKey())) {
        store.register(source(peft));
        try (AdapterLease lease = store.acquire("a")) {
          ElementType type = lease.spec().targets().getFirst().type();
          assertRounded(lease, peft, type);
        }
      }
    }
  }
}
