package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.pool.ArrowPagePool;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.Function;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters as Arrow files. */
class AdapterFilesTest {
  private static final ModelShape SHAPE = PeftWriter.SHAPE;

  @TempDir Path directory;

  private Path peft(String dtype) {
    return PeftWriter.of(
            SHAPE, 6, dtype, EnumSet.of(Projection.Q, Projection.V, Projection.DOWN), new Random(5))
        .write(directory.resolve("peft-" + dtype));
  }

  private static void assertWeights(
      Path peft, List<TargetSpec> targets, Function<TargetModule, Optional<LoraWeights>> weights)
      throws IOException {
    var plain = new PlainPeft(peft);
    for (TargetSpec spec : targets) {
      double[][] expected = plain.delta(spec.target(), spec.aBlocks(), spec.bBlocks());
      double[][] found = PlainPeft.delta(weights.apply(spec.target()).orElseThrow());
      for (int o = 0; o < expected.length; o++) {
        assertArrayEquals(expected[o], found[o], 1e-9);
      }
    }
  }

  @Test
  void convertedAdaptersServeTheSameWeightsFromPagesAndMapped() throws IOException {
    for (String dtype : List.of("F32", "F16", "BF16")) {
      Path peft = peft(dtype);
      Path arrow = directory.resolve(dtype + ".arrow");
      List<TargetSpec> targets = AdapterFiles.convert(peft, SHAPE, arrow);
      assertEquals(AdapterFiles.inspect(peft, SHAPE), targets);
      assertEquals(targets, AdapterFiles.inspect(arrow, SHAPE));
      try (MappedAdapter mapped = AdapterFiles.map(arrow)) {
        assertEquals(targets, mapped.targets());
        assertTrue(mapped.weights(TargetModule.of(0, Projection.K)).isEmpty());
        assertWeights(peft, targets, mapped::weights);
      }
      try (PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, 4096));
          AdapterStore store = new ArrowAdapterStoreProvider().open(StoreConfig.of(SHAPE, pool))) {
        assertEquals(targets, store.register(new AdapterSource("a", arrow)).targets());
        try (AdapterLease lease = store.acquire("a")) {
          assertWeights(peft, targets, lease::weights);
        }
      }
    }
    try (var left = Files.list(directory)) {
      assertFalse(left.anyMatch(path -> path.getFileName().toString().startsWith(".lorikeet")));
    }
  }

  @Test
  void blockDiagonalAdaptersOfTheTinyKindConvertToo() throws IOException {
    var writer = new PeftWriter(SHAPE);
    writer.config.put("r", 8).put("lora_alpha", 4);
    writer.config.putArray("target_modules").add("q_proj").add("down_proj");
    var bd = writer.config.putObject("use_bdlora").put("nblocks", 4);
    bd.putArray("target_modules_bd_a").add("q_proj");
    bd.putArray("target_modules_bd_b").add("down_proj");
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      writer.add(layer, Projection.Q, 8, 4, 1, "BF16", new Random(1));
      writer.add(layer, Projection.DOWN, 8, 1, 4, "BF16", new Random(2));
    }
    Path peft = writer.write(directory.resolve("bd"));
    Path arrow = directory.resolve("bd.arrow");
    var targets = AdapterFiles.convert(peft, SHAPE, arrow);
    try (MappedAdapter mapped = AdapterFiles.map(arrow)) {
      assertWeights(peft, targets, mapped::weights);
    }
  }

  @Test
  void arrowsOwnReaderReadsTheFile() throws IOException {
    Path arrow = directory.resolve("a.arrow");
    List<TargetSpec> targets = AdapterFiles.convert(peft("F32"), SHAPE, arrow);
    try (var allocator =
            ArrowPagePool.allocator(
                new dev.lorikeet.arrow.offheap.FfmAllocationManager.FfmFactory(), Long.MAX_VALUE);
        var channel = java.nio.channels.FileChannel.open(arrow);
        var reader = new ArrowFileReader(channel, allocator)) {
      assertTrue(reader.loadNextBatch());
      var root = reader.getVectorSchemaRoot();
      assertEquals(targets.size(), root.getRowCount());
      assertEquals("q_proj", root.getVector("projection").getObject(0).toString());
      assertEquals(6, root.getVector("rank").getObject(0));
      assertEquals(6 * 24 * 4, ((byte[]) root.getVector("a").getObject(0)).length);
    }
  }

  @Test
  void aMappedAdapterCannotBeReadAfterItsEnd() {
    Path arrow = directory.resolve("a.arrow");
    AdapterFiles.convert(peft("F32"), SHAPE, arrow);
    MappedAdapter mapped = AdapterFiles.map(arrow);
    LoraWeights weights = mapped.weights(TargetModule.of(0, Projection.Q)).orElseThrow();
    mapped.close();
    mapped.close();
    assertThrows(
        IllegalStateException.class,
        () -> weights.a().memory().get(java.lang.foreign.ValueLayout.JAVA_BYTE, 0));
  }

  @Test
  void damagedArrowFilesAreRefused() throws IOException {
    long seed = new Random().nextLong();
    System.out.println("damagedArrowFilesAreRefused seed " + seed);
    var random = new Random(seed);
    Path arrow = directory.resolve("a.arrow");
    AdapterFiles.convert(peft("F32"), SHAPE, arrow);
    byte[] sound = Files.readAllBytes(arrow);
    Path damaged = directory.resolve("damaged.arrow");
    for (int length : new int[] {0, 5, 9, 21, 22, 100, sound.length / 2, sound.length - 1}) {
      Files.write(damaged, java.util.Arrays.copyOf(sound, length));
      assertRefused(damaged);
    }
    for (int footer : new int[] {-1, 0, 7, sound.length, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      byte[] bytes = sound.clone();
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(sound.length - 10, footer);
      Files.write(damaged, bytes);
      assertRefused(damaged);
    }
    int footer = ByteBuffer.wrap(sound).order(ByteOrder.LITTLE_ENDIAN).getInt(sound.length - 10);
    for (int i = 0; i < 600; i++) {
      byte[] bytes = sound.clone();
      int metadata = random.nextBoolean() ? sound.length - 10 - footer : 8;
      int range = metadata == 8 ? 3000 : footer;
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        bytes[metadata + random.nextInt(range)] = (byte) random.nextInt(256);
      }
      Files.write(damaged, bytes);
      try {
        AdapterFiles.inspect(damaged, SHAPE); // a flip may hit padding or a weight
      } catch (LorikeetException e) {
        assertEquals(LorikeetException.Code.ADAPTER_INVALID, e.code());
        Expect.mentions(e, "damaged.arrow");
      }
    }
  }

  private static void assertRefused(Path file) {
    var thrown = assertThrows(LorikeetException.class, () -> AdapterFiles.inspect(file, SHAPE));
    assertEquals(LorikeetException.Code.ADAPTER_INVALID, thrown.code());
    Expect.mentions(thrown, file.getFileName().toString());
  }

  @Test
  void filesOfAnotherModelOrNameAreRefused() {
    Path arrow = directory.resolve("a.arrow");
    Path peft = peft("F32");
    AdapterFiles.convert(peft, SHAPE, arrow);
    var other =
        ModelShape.builder()
            .layers(2)
            .hidden(32)
            .intermediate(40)
            .heads(3)
            .kvHeads(1)
            .headDim(8)
            .vocabulary(100)
            .build();
    var thrown = assertThrows(LorikeetException.class, () -> AdapterFiles.inspect(arrow, other));
    Expect.mentions(thrown, "a.arrow", "row 0", "32", "24");
    assertThrows(
        LorikeetException.class,
        () -> AdapterFiles.convert(peft, SHAPE, directory.resolve("a.bin")));
    assertThrows(
        LorikeetException.class, () -> AdapterFiles.map(directory.resolve("missing.arrow")));
  }

  @Test
  void anAdapterIsDescribedWithoutAModelAsWithOne() throws IOException {
    for (String dtype : List.of("F32", "BF16")) {
      Path peft = peft(dtype);
      AdapterDescription description = AdapterFiles.describe(peft);
      assertEquals(AdapterDescription.Format.PEFT, description.format());
      assertEquals(AdapterFiles.inspect(peft, SHAPE), description.targets());
      Path file = directory.resolve(dtype + ".arrow");
      AdapterFiles.convert(peft, SHAPE, file);
      assertEquals(
          new AdapterDescription(
              AdapterDescription.Format.ARROW,
              description.baseModel(),
              description.targets(),
              List.of()),
          AdapterFiles.describe(file));
    }
  }

  @Test
  void theNameOfTheBaseModelIsKept() throws IOException {
    Path peft = peft("F32");
    Path config = peft.resolve(PeftAdapterFile.CONFIG);
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceFirst("\\{", "{\"base_model_name_or_path\": \"acme/bird-1b\","));
    Path file = directory.resolve("named.arrow");
    AdapterFiles.convert(peft, SHAPE, file);
    assertEquals(Optional.of("acme/bird-1b"), AdapterFiles.describe(peft).baseModel());
    assertEquals(Optional.of("acme/bird-1b"), AdapterFiles.describe(file).baseModel());
    AdapterFiles.convert(file, SHAPE, directory.resolve("again.arrow"));
    assertEquals(
        Optional.of("acme/bird-1b"),
        AdapterFiles.describe(directory.resolve("again.arrow")).baseModel());
  }
}
