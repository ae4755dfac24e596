package dev.lorikeet.conformance.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;

/**
 * A PEFT directory that changes more than linear layers of decoder blocks, what of it a store has
 * to say and serve, and the name of what one that can't must refuse.
 */
public final class PartFiles {
  private static final ModelShape SHAPE = PeftFiles.SHAPE;

  private final String what;
  private final String name;
  private final PeftFiles files;
  private final RandomGenerator random;
  private final List<Factors> others = new ArrayList<>();
  private final Map<TargetModule, float[]> magnitudes = new LinkedHashMap<>();
  private final Map<PartSpec, float[][]> parts = new LinkedHashMap<>();

  private PartFiles(String what, String name, ElementType type, RandomGenerator random) {
    this.what = what;
    this.name = name;
    this.random = random;
    files =
        PeftFiles.random(
            new PeftFiles.Form(
                SHAPE,
                PeftFiles.modules(SHAPE, List.of(Projection.Q, Projection.DOWN)),
                4,
                8,
                type,
                Map.of()),
            random);
  }

  /** Returns one of each kind, of random numbers. */
  public static List<PartFiles> all(RandomGenerator random) {
    List<PartFiles> all = new ArrayList<>();
    for (ElementType type : ElementType.values()) {
      all.add(new PartFiles("magnitudes (DoRA) in " + type, "dora", type, random).dora());
      all.add(new PartFiles("biases of B in " + type, "bias", type, random).shifts());
      all.add(new PartFiles("biases in " + type, "bias", type, random).biases());
      all.add(
          new PartFiles("LoRA on embeddings in " + type, "embed", type, random)
              .factors(TargetModule.embedding(), "lora_embedding_A", "lora_embedding_B"));
      all.add(
          new PartFiles("LoRA on the output layer in " + type, "lm_head", type, random)
              .factors(TargetModule.output(), "lora_A.weight", "lora_B.weight"));
      all.add(
          new PartFiles("a saved output layer in " + type, "modules_to_save", type, random)
              .saved());
      all.add(
          new PartFiles("trained tokens in " + type, "trainable_token_indices", type, random)
              .tokens());
    }
    return all;
  }

  private float[] vector(int length) {
    float[] vector = new float[length];
    for (int i = 0; i < length; i++) {
      vector[i] = ElementCodec.round(files.type, (float) random.nextGaussian());
    }
    return vector;
  }

  private float[][] matrix(int rows, int columns) {
    float[][] matrix = new float[rows][];
    for (int row = 0; row < rows; row++) {
      matrix[row] = vector(columns);
    }
    return matrix;
  }

  private static String stored(TargetModule module, String suffix) {
    return "base_model.model." + module.moduleName() + "." + suffix;
  }

  private PartFiles dora() {
    files.config.put("use_dora", true);
    for (Factors f : files.factors()) {
      float[] magnitude = vector(f.out());
      files.weights.add(
          stored(f.target(), "lora_magnitude_vector"),
          files.type,
          new long[] {magnitude.length},
          magnitude);
      magnitudes.put(f.target(), magnitude);
    }
    return this;
  }

  private PartFiles shifts() {
    files.config.put("lora_bias", true);
    return vectors(PartSpec.Kind.SHIFT, "lora_B.bias");
  }

  private PartFiles biases() {
    files.config.put("bias", "lora_only");
    return vectors(PartSpec.Kind.BIAS, "base_layer.bias");
  }

  private PartFiles vectors(PartSpec.Kind kind, String suffix) {
    for (Factors f : files.factors()) {
      float[] vector = vector(f.out());
      files.weights.add(stored(f.target(), suffix), files.type, new long[] {vector.length}, vector);
      parts.put(PartSpec.vector(f.target(), kind, f.out()), new float[][] {vector});
    }
    return this;
  }

  private PartFiles factors(TargetModule target, String a, String b) {
    List<Object> targets = new ArrayList<>();
    if (files.config.get("target_modules") instanceof List<?> names) {
      targets.addAll(names);
    }
    targets.add(target.projection().moduleName());
    files.config.put("target_modules", targets);
    int in = SHAPE.inFeatures(target.projection());
    int out = SHAPE.outFeatures(target.projection());
    Factors f =
        Factors.random(
            Sizes.dense(target, 4, in, out), 2, files.type, r -> (float) r.nextGaussian(), random);
    others.add(f);
    files.weights.add(stored(target, a), files.type, f.a());
    float[][] byOutput = new float[out][4];
    for (int r = 0; r < 4; r++) {
      for (int o = 0; o < out; o++) {
        byOutput[o][r] = f.b()[r][o];
      }
    }
    files.weights.add(stored(target, b), files.type, byOutput);
    return this;
  }

  private PartFiles saved() {
    files.config.put("modules_to_save", List.of("lm_head"));
    float[][] rows = matrix(SHAPE.vocabulary(), SHAPE.hidden());
    files.weights.add(stored(TargetModule.output(), "weight"), files.type, rows);
    parts.put(rows(TargetModule.output(), rows.length, List.of()), rows);
    return this;
  }

  private PartFiles tokens() {
    List<Integer> ids = List.of(11, 3, SHAPE.vocabulary() - 1);
    files.config.put("trainable_token_indices", ids);
    float[][] rows = matrix(ids.size(), SHAPE.hidden());
    files.weights.add(
        stored(TargetModule.embedding(), "token_adapter.trainable_tokens_delta"), files.type, rows);
    parts.put(rows(TargetModule.embedding(), rows.length, ids), rows);
    return this;
  }

  private PartSpec rows(TargetModule target, int count, List<Integer> ids) {
    return new PartSpec(target, PartSpec.Kind.ROWS, count, SHAPE.hidden(), files.type, ids);
  }

  /** Returns what an adapter of this kind has. */
  public String what() {
    return what;
  }

  /** Returns what a rejection has to name. */
  public String name() {
    return name;
  }

  public void write(Path directory) {
    files.write(directory);
  }

  /** Checks what a store says of it. */
  public void expectDescribedBy(AdapterSpec spec) {
    List<TargetSpec> targets = new ArrayList<>();
    for (TargetSpec target : files.targets()) {
      targets.add(target.toBuilder().magnitude(magnitudes.containsKey(target.target())).build());
    }
    for (Factors f : others) {
      targets.add(
          TargetSpec.builder(f.target())
              .rank(f.rank())
              .inFeatures(f.in())
              .outFeatures(f.out())
              .scaling(f.scaling())
              .type(files.type)
              .build());
    }
    targets.sort(Comparator.comparing(TargetSpec::target));
    assertEquals(targets, spec.targets(), () -> what + ": targets");
    List<PartSpec> expected = new ArrayList<>(parts.keySet());
    expected.sort(Comparator.comparing(PartSpec::target).thenComparing(PartSpec::kind));
    assertEquals(expected, spec.parts(), () -> what + ": parts");
  }

  /** Checks that a lease serves these very numbers. */
  public void expectServedBy(AdapterLease lease) {
    files.expectServedBy(lease);
    for (Factors f : others) {
      LoraWeights weights = lease.weights(f.target()).orElseThrow();
      files.expectFactor("A of " + f.target(), f.a(), f.in(), 1, weights.a());
      files.expectFactor("B of " + f.target(), f.b(), f.out(), 1, weights.b());
    }
    magnitudes.forEach(
        (target, values) -> {
          Tensor found = lease.weights(target).orElseThrow().magnitude().orElseThrow();
          assertEquals(ElementType.F32, found.type(), () -> what + ": type of magnitudes");
          for (int i = 0; i < values.length; i++) {
            float value = ElementCodec.get(found.segment(), ElementType.F32, i);
            assertBits(values[i], value, "magnitude " + i + " of " + target);
          }
        });
    parts.forEach(
        (spec, rows) -> {
          PartWeights found = lease.part(spec.target(), spec.kind()).orElseThrow();
          for (int r = 0; r < rows.length; r++) {
            long first = found.rowOffset(r) / spec.type().bytes();
            for (int i = 0; i < rows[r].length; i++) {
              float value = ElementCodec.get(found.memory(), spec.type(), first + i);
              assertBits(rows[r][i], value, spec.kind() + " of " + spec.target() + ", row " + r);
            }
          }
        });
    assertTrue(
        lease.part(TargetModule.of(2, Projection.GATE), PartSpec.Kind.BIAS).isEmpty(),
        () -> what + ": a part that is not there");
  }

  private void assertBits(float expected, float found, String where) {
    assertEquals(
        Float.floatToRawIntBits(expected),
        Float.floatToRawIntBits(found),
        () -> what + ": bits of " + where);
  }
}
