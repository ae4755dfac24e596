package dev.lorikeet.files.peft;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.RowWriter;
import dev.lorikeet.files.adapter.WeightPlaces;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters that are written read back bit for bit, and say to PEFT what they are. */
class PeftWriterTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(3)
          .hidden(24)
          .intermediate(40)
          .heads(3)
          .kvHeads(1)
          .headDim(8)
          .vocabulary(100)
          .build();

  @TempDir Path folder;

  /** Returns a factor of random finite bits, its rows in any order and apart. */
  private static LoraFactor factor(
      Random random, ElementType type, int rank, int width, int blocks) {
    int row = width / blocks * type.bytes();
    int stride = row + 4 * random.nextInt(4);
    byte[] bytes = new byte[rank * stride];
    random.nextBytes(bytes);
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] &= (byte) 0xBB; // some bit of every type's exponent is 0, wherever elements begin
    }
    long[] offsets = new long[rank];
    for (int r = 0; r < rank; r++) {
      offsets[r] = (long) (rank - 1 - r) * stride;
    }
    MemorySegment memory = MemorySegment.ofArray(bytes);
    return new LoraFactor(type, width, blocks, Device.HOST, memory, offsets);
  }

  private static LoraWeights module(
      Random random, int layer, Projection p, ElementType type, int rank, int a, int b, float s) {
    return LoraWeights.of(
        TargetModule.of(layer, p),
        factor(random, type, rank, SHAPE.inFeatures(p), a),
        factor(random, type, rank, SHAPE.outFeatures(p), b),
        s);
  }

  private static LoraWeights plain(int layer, Projection projection) {
    return module(new Random(1), layer, projection, ElementType.F32, 4, 1, 1, 2);
  }

  /** Returns the bytes of all rows, each as {@link LoraFactor} has it. */
  private static byte[][] rows(LoraFactor factor) {
    byte[][] rows = new byte[factor.rank()][];
    for (int r = 0; r < rows.length; r++) {
      long bytes = (long) factor.rowLength() * factor.type().bytes();
      rows[r] = factor.memory().asSlice(factor.rowOffset(r), bytes).toArray(ValueLayout.JAVA_BYTE);
    }
    return rows;
  }

  private static void assertReadsBack(Path directory, List<LoraWeights> weights, String seed)
      throws IOException {
    Map<TargetModule, LoraWeights> expected = new HashMap<>();
    weights.forEach(module -> expected.put(module.target(), module));
    try (AdapterFile file = PeftAdapterFile.open(directory, new PeftPlans(Optional.of(SHAPE)))) {
      List<TargetSpec> targets = file.targets();
      assertEquals(expected.keySet(), Map.copyOf(byTarget(targets)).keySet(), seed);
      WeightPlaces places = WeightPlaces.empty(targets, List.of());
      long[][] offsets = places.factors();
      long at = 0;
      for (int f = 0; f < offsets.length; f++) {
        TargetSpec spec = targets.get(f / 2);
        offsets[f] = new long[spec.rank()];
        for (int r = 0; r < spec.rank(); r++) {
          offsets[f][r] = at;
          at += f % 2 == 0 ? spec.aRowBytes() : spec.bRowBytes();
        }
      }
      MemorySegment memory = MemorySegment.ofArray(new byte[(int) at]);
      file.read(new RowWriter(places, memory));
      for (int t = 0; t < targets.size(); t++) {
        TargetSpec spec = targets.get(t);
        LoraWeights module = Objects.requireNonNull(expected.remove(spec.target()));
        assertEquals(module.scaling(), spec.scaling(), seed + " " + spec);
        var a = factor(spec, spec.inFeatures(), spec.aBlocks(), memory, offsets[2 * t]);
        var b = factor(spec, spec.outFeatures(), spec.bBlocks(), memory, offsets[2 * t + 1]);
        assertEquals(module.a().toString(), a.toString(), seed);
        assertEquals(module.b().toString(), b.toString(), seed);
        assertArrayEquals(rows(module.a()), rows(a), seed + " A of " + spec);
        assertArrayEquals(rows(module.b()), rows(b), seed + " B of " + spec);
      }
    }
  }

  private static Map<TargetModule, TargetSpec> byTarget(List<TargetSpec> targets) {
    Map<TargetModule, TargetSpec> map = new HashMap<>();
    targets.forEach(spec -> map.put(spec.target(), spec));
    return map;
  }

  private static LoraFactor factor(
      TargetSpec spec, int width, int blocks, MemorySegment memory, long[] offsets) {
    return new LoraFactor(spec.type(), width, blocks, Device.HOST, memory, offsets);
  }

  @Test
  void randomAdaptersReadBackBitForBit() throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int round = 0; round < 40; round++) {
      int blocks = random.nextBoolean() ? 1 : 1 << random.nextInt(3);
      int usual = blocks * (1 + random.nextInt(6));
      boolean ragged = random.nextBoolean();
      List<LoraWeights> weights = new ArrayList<>();
      for (Projection projection : Projection.ofLayer()) {
        for (int layer = 0; layer < SHAPE.layers(); layer++) {
          if (random.nextInt(4) == 0 && ragged) {
            continue;
          }
          int rank = random.nextInt(3) == 0 && ragged ? blocks * (1 + random.nextInt(6)) : usual;
          int diagonal = random.nextInt(3);
          float scaling =
              ragged ? Math.scalb(1 + random.nextFloat(), random.nextInt(20) - 10) : 1.7f;
          weights.add(
              module(
                  random,
                  layer,
                  projection,
                  List.of(ElementType.values()).get(random.nextInt(3)),
                  rank,
                  diagonal == 1 ? blocks : 1,
                  diagonal == 2 ? blocks : 1,
                  scaling));
        }
      }
      if (weights.isEmpty()) {
        continue;
      }
      java.util.Collections.shuffle(weights, random);
      Path directory = folder.resolve("adapter-" + round);
      new PeftWriter(SHAPE, Optional.of("some/base")).write(directory, weights);
      assertReadsBack(directory, weights, "seed " + seed + " round " + round);
    }
  }

  @Test
  void anAdapterTrainedAlikeEverywhereIsDescribedAsPeftDoes() throws IOException {
    List<LoraWeights> weights = new ArrayList<>();
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      weights.add(plain(layer, Projection.Q));
      weights.add(plain(layer, Projection.DOWN));
    }
    Path directory = folder.resolve("adapter");
    new PeftWriter(SHAPE, Optional.of("some/base")).write(directory, weights);
    JsonNode config =
        new ObjectMapper().readTree(directory.resolve("adapter_config.json").toFile());
    assertEquals("LORA", config.path("peft_type").textValue());
    assertEquals("CAUSAL_LM", config.path("task_type").textValue());
    assertEquals("some/base", config.path("base_model_name_or_path").textValue());
    assertEquals("4", config.path("r").toString());
    assertEquals("8", config.path("lora_alpha").toString());
    assertEquals("[\"down_proj\",\"q_proj\"]", config.path("target_modules").toString());
    assertEquals("{}", config.path("rank_pattern").toString());
    assertEquals("{}", config.path("alpha_pattern").toString());
    assertFalse(config.has("use_bdlora"));
    try (var files = Files.list(folder)) {
      assertEquals(List.of(directory), files.toList(), "nothing is left beside it");
    }
  }

  @Test
  void modulesThatDifferAreToldByPatternsAndBlocksByBdlora() throws IOException {
    Random random = new Random(2);
    List<LoraWeights> weights = new ArrayList<>();
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      weights.add(module(random, layer, Projection.Q, ElementType.BF16, 4, 1, 2, 0.5f));
      weights.add(module(random, layer, Projection.O, ElementType.BF16, 8, 2, 1, 0.25f));
    }
    weights.add(module(random, 1, Projection.UP, ElementType.BF16, 4, 1, 1, 0.3f));
    weights.add(module(random, 2, Projection.GATE, ElementType.BF16, 4, 1, 1, 0.5f));
    Path directory = folder.resolve("adapter");
    new PeftWriter(SHAPE, Optional.empty()).write(directory, weights);
    JsonNode config =
        new ObjectMapper().readTree(directory.resolve("adapter_config.json").toFile());
    assertTrue(config.path("base_model_name_or_path").isNull());
    assertEquals("{\"o_proj\":8}", config.path("rank_pattern").toString());
    assertEquals(4 * (double) 0.3f, config.path("alpha_pattern").path("up_proj").doubleValue());
    assertEquals(1, config.path("alpha_pattern").size());
    assertEquals(8, config.path("target_modules").size());
    assertEquals("model.layers.0.self_attn.o_proj", config.path("target_modules").path(0).asText());
    assertEquals(
        "{\"target_modules_bd_a\":[\"o_proj\"],\"target_modules_bd_b\":[\"q_proj\"],"
            + "\"nblocks\":2,\"match_strict\":false}",
        config.path("use_bdlora").toString());
    assertReadsBack(directory, weights, "");
  }

  private void assertRefused(List<LoraWeights> weights, String reason) throws IOException {
    var writer = new PeftWriter(SHAPE, Optional.empty());
    var error =
        assertThrows(
            RuntimeException.class, () -> writer.write(folder.resolve("adapter"), weights));
    assertTrue(
        error instanceof IllegalArgumentException || error instanceof LorikeetException,
        error.toString());
    assertTrue(String.valueOf(error.getMessage()).contains(reason), error.getMessage());
    try (var files = Files.list(folder)) {
      assertEquals(List.of(), files.toList());
    }
  }

  @Test
  void whatTheFormatHasNoWordsForIsRefusedAndLeavesNothing() throws IOException {
    Random random = new Random(3);
    assertRefused(List.of(), "at least one");
    assertRefused(List.of(plain(0, Projection.Q), plain(0, Projection.Q)), "found it twice");
    assertRefused(List.of(plain(3, Projection.Q)), "layers");
    assertRefused(
        List.of(module(random, 0, Projection.Q, ElementType.F32, 4, 2, 2, 1)), "in 2 blocks");
    assertRefused(
        List.of(
            module(random, 0, Projection.Q, ElementType.F32, 4, 1, 2, 1),
            module(random, 1, Projection.Q, ElementType.F32, 4, 1, 4, 1)),
        "of 2 blocks as the others");
    assertRefused(
        List.of(module(random, 0, Projection.Q, ElementType.F32, 4, 1, 1, -1)), "scaling above 0");
    LoraWeights q = plain(0, Projection.Q);
    LoraWeights down = plain(0, Projection.DOWN);
    assertRefused(List.of(LoraWeights.of(down.target(), q.a(), q.b(), 1)), "shape");
    q.a().memory().set(ValueLayout.JAVA_FLOAT_UNALIGNED, q.a().rowOffset(2), Float.NaN);
    assertRefused(List.of(q), "finite");
  }

  @Test
  void aDirectoryWithFilesIsLeftAlone() throws IOException {
    Path directory = Files.createDirectory(folder.resolve("adapter"));
    var writer = new PeftWriter(SHAPE, Optional.empty());
    List<LoraWeights> weights = List.of(plain(0, Projection.Q));
    writer.write(directory, weights); // an empty one is filled
    assertThrows(FileAlreadyExistsException.class, () -> writer.write(directory, weights));
    assertReadsBack(directory, weights, "");
  }

  private static LoraWeights withMagnitude(LoraWeights module) {
    float[] magnitude = new float[module.b().width()];
    for (int i = 0; i < magnitude.length; i++) {
      magnitude[i] = i + 0.25f;
    }
    return module.withMagnitude(
        Tensor.host(MemorySegment.ofArray(magnitude), ElementType.F32, 1, magnitude.length));
  }

  @Test
  void magnitudesAreWrittenAndRead() throws IOException {
    Path directory = folder.resolve("dora");
    List<LoraWeights> weights =
        List.of(withMagnitude(plain(0, Projection.Q)), withMagnitude(plain(2, Projection.DOWN)));
    new PeftWriter(SHAPE, Optional.empty()).write(directory, weights);
    Map<Integer, float[]> found = new HashMap<>();
    try (AdapterFile file = PeftAdapterFile.open(directory, PeftPlans.strict(Optional.of(SHAPE)))) {
      assertTrue(file.targets().stream().allMatch(TargetSpec::magnitude));
      file.read(
          (target, spec, factor, firstLine, lines, data) -> {
            if (factor == WeightSink.Factor.MAGNITUDE) {
              assertEquals(1, lines);
              found.put(target, data.toArray(ValueLayout.JAVA_FLOAT));
            }
          });
    }
    assertEquals(24, Objects.requireNonNull(found.get(0)).length);
    assertEquals(23.25f, Objects.requireNonNull(found.get(1))[23]);
  }

  private static String refusal(Path directory, PeftPlans plans) {
    return String.valueOf(
        assertThrows(LorikeetException.class, () -> PeftAdapterFile.open(directory, plans))
            .getMessage());
  }

  @Test
  void magnitudesAndTheirKeyHaveToAgree() throws IOException {
    PeftWriter writer = new PeftWriter(SHAPE, Optional.empty());
    PeftPlans plans = PeftPlans.strict(Optional.of(SHAPE));
    Path with = folder.resolve("with");
    writer.write(with, List.of(withMagnitude(plain(0, Projection.Q))));
    replace(with, "\"use_dora\" : true", "\"use_dora\" : false");
    assertTrue(refusal(with, plans).contains("expected no magnitude, as use_dora is false"));
    Path without = folder.resolve("without");
    writer.write(without, List.of(plain(0, Projection.Q)));
    replace(without, "\"use_dora\" : false", "\"use_dora\" : true");
    assertTrue(refusal(without, plans).contains("lora_magnitude_vector"));
    assertThrows(
        IllegalArgumentException.class,
        () ->
            writer.write(
                folder.resolve("some"),
                List.of(withMagnitude(plain(0, Projection.Q)), plain(1, Projection.Q))));
  }

  private static void replace(Path directory, String from, String to) throws IOException {
    Path config = directory.resolve(PeftAdapterFile.CONFIG);
    String text = Files.readString(config);
    assertTrue(text.contains(from), text);
    Files.writeString(config, text.replace(from, to));
  }
}
