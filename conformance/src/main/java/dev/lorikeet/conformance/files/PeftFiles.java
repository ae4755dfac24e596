package dev.lorikeet.conformance.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/** A PEFT adapter directory in the making, and the numbers that a store must serve from it. */
public final class PeftFiles {
  public static final String CONFIG = "adapter_config.json";
  public static final String WEIGHTS = "adapter_model.safetensors";

  /** The sizes of the base model that stores are tested with. */
  public static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(3)
          .hidden(32)
          .intermediate(48)
          .heads(4)
          .kvHeads(2)
          .headDim(8)
          .vocabulary(64)
          .build();

  final Map<String, Object> config = new LinkedHashMap<>();
  final Safetensors weights;
  private final List<Factors> factors = new ArrayList<>();
  final ElementType type;

  private PeftFiles(ElementType type, Safetensors weights) {
    this.type = type;
    this.weights = weights;
  }

  /** Returns the same adapter with another weights file. */
  PeftFiles withWeights(Safetensors other) {
    PeftFiles files = new PeftFiles(type, other);
    files.config.putAll(config);
    files.factors.addAll(factors);
    return files;
  }

  /** Returns the weights of each target module, in the order of the file. */
  public List<Factors> factors() {
    return List.copyOf(factors);
  }

  /** What an adapter looks like, apart from its numbers. */
  public record Form(
      ModelShape shape,
      List<TargetModule> modules,
      int rank,
      double alpha,
      ElementType type,
      Map<String, Object> settings) {
    public Form with(String key, Object value) {
      Map<String, Object> more = new LinkedHashMap<>(settings);
      more.put(key, value);
      return new Form(shape, modules, rank, alpha, type, more);
    }
  }

  /** Returns an F32 adapter of a few modules. */
  public static Form form(int rank) {
    return new Form(
        SHAPE,
        List.of(
            TargetModule.of(0, Projection.Q),
            TargetModule.of(0, Projection.DOWN),
            TargetModule.of(2, Projection.V)),
        rank,
        2.0 * rank,
        ElementType.F32,
        Map.of());
  }

  /** Returns all modules of these projections. */
  public static List<TargetModule> modules(ModelShape shape, List<Projection> projections) {
    List<TargetModule> modules = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : projections) {
        modules.add(TargetModule.of(layer, projection));
      }
    }
    return modules;
  }

  public static PeftFiles random(Form form, RandomGenerator random) {
    return random(form, random, 1);
  }

  /** Returns an adapter of random numbers of about this magnitude. */
  public static PeftFiles random(Form form, RandomGenerator random, double magnitude) {
    PeftFiles files = new PeftFiles(form.type, new Safetensors());
    files.config(form);
    for (TargetModule module : form.modules) {
      int rank = (int) files.pattern("rank_pattern", module, form.rank);
      double alpha = files.pattern("alpha_pattern", module, form.alpha);
      boolean rslora = Boolean.TRUE.equals(form.settings.get("use_rslora"));
      float scaling = (float) (alpha / (rslora ? Math.sqrt(rank) : rank));
      files.add(
          Factors.random(
              new Sizes(
                  module,
                  rank,
                  form.shape.inFeatures(module.projection()),
                  form.shape.outFeatures(module.projection()),
                  files.blocks("target_modules_bd_a", module),
                  files.blocks("target_modules_bd_b", module)),
              scaling,
              form.type,
              r -> (float) (magnitude * r.nextGaussian()),
              random));
    }
    return files;
  }

  private void config(Form form) {
    config.put("peft_type", "LORA");
    config.put("task_type", "CAUSAL_LM");
    config.put("base_model_name_or_path", "conformance");
    config.put("inference_mode", true);
    config.put("r", form.rank);
    config.put(
        "lora_alpha",
        form.alpha == Math.rint(form.alpha) ? (Object) (int) form.alpha : (Object) form.alpha);
    config.put("lora_dropout", 0.0);
    config.put("bias", "none");
    config.put("fan_in_fan_out", false);
    config.put("use_rslora", false);
    config.put("use_dora", false);
    config.put("init_lora_weights", true);
    config.put("rank_pattern", Map.of());
    config.put("alpha_pattern", Map.of());
    config.put("target_modules", targetModules(form));
    config.putAll(form.settings);
  }

  /** Returns the projections' names where they stand for all layers, else full names. */
  private static List<String> targetModules(Form form) {
    List<Projection> projections =
        form.modules.stream().map(TargetModule::projection).distinct().toList();
    boolean everywhere = form.modules.size() == projections.size() * form.shape.layers();
    return everywhere
        ? projections.stream().map(Projection::moduleName).toList()
        : form.modules.stream().map(TargetModule::moduleName).toList();
  }

  private double pattern(String key, TargetModule module, double otherwise) {
    if (config.get(key) instanceof Map<?, ?> pattern) {
      for (Map.Entry<?, ?> entry : pattern.entrySet()) {
        if (module.moduleName().matches("(.*\\.)?(" + entry.getKey() + ")$")) {
          return ((Number) entry.getValue()).doubleValue();
        }
      }
    }
    return otherwise;
  }

  private int blocks(String key, TargetModule module) {
    if (config.get("use_bdlora") instanceof Map<?, ?> settings
        && settings.get(key) instanceof List<?> names
        && settings.get("nblocks") instanceof Integer blocks
        && names.stream().anyMatch(name -> module.moduleName().contains((String) name))) {
      return blocks;
    }
    return 1;
  }

  private void add(Factors f) {
    factors.add(f);
    weights.add(name(f.target(), "lora_A"), type, f.a());
    weights.add(name(f.target(), "lora_B"), type, storedB(f));
  }

  /** Returns B as PEFT stores it: {@code [out, rank / blocks]}, blocks below one another. */
  private static float[][] storedB(Factors f) {
    int ranksPerBlock = f.rank() / f.bBlocks();
    float[][] stored = new float[f.out()][ranksPerBlock];
    for (int r = 0; r < f.rank(); r++) {
      for (int i = 0; i < f.b()[r].length; i++) {
        stored[f.bStart(r) + i][r % ranksPerBlock] = f.b()[r][i];
      }
    }
    return stored;
  }

  /** Returns the name that PEFT gives a factor in the file. */
  static String name(TargetModule module, String factor) {
    return "base_model.model." + module.moduleName() + "." + factor + ".weight";
  }

  /** Writes both files into a new or existing folder. */
  public Path write(Path directory) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Safetensors.writeJson(directory.resolve(CONFIG), config);
    weights.write(directory.resolve(WEIGHTS));
    return directory;
  }

  /** Returns what a store must say of each target module, in order. */
  public List<TargetSpec> targets() {
    return factors.stream()
        .map(
            f ->
                TargetSpec.builder(f.target())
                    .rank(f.rank())
                    .inFeatures(f.in())
                    .outFeatures(f.out())
                    .scaling(f.scaling())
                    .aBlocks(f.aBlocks())
                    .bBlocks(f.bBlocks())
                    .type(type)
                    .build())
        .sorted(
            java.util.Comparator.comparingInt((TargetSpec t) -> t.target().layer())
                .thenComparing(t -> t.target().projection()))
        .toList();
  }

  /** Checks that a lease serves these very numbers. */
  public void expectServedBy(AdapterLease lease) {
    for (Factors f : factors) {
      Optional<LoraWeights> weights = lease.weights(f.target());
      assertTrue(weights.isPresent(), () -> "weights of " + f.target() + ": expected some");
      LoraWeights w = weights.orElseThrow();
      assertEquals(f.target(), w.target(), "target module");
      expectFactor("A of " + f.target(), f.a(), f.in(), f.aBlocks(), w.a());
      expectFactor("B of " + f.target(), f.b(), f.out(), f.bBlocks(), w.b());
    }
  }

  void expectFactor(String what, float[][] rows, int width, int blocks, LoraFactor factor) {
    assertEquals(type, factor.type(), () -> what + ": element type");
    assertEquals(rows.length, factor.rank(), () -> what + ": rank");
    assertEquals(width, factor.width(), () -> what + ": width");
    assertEquals(blocks, factor.blocks(), () -> what + ": blocks");
    for (int r = 0; r < rows.length; r++) {
      long first = factor.rowOffset(r) / type.bytes();
      for (int i = 0; i < rows[r].length; i++) {
        int row = r;
        int index = i;
        assertEquals(
            Float.floatToRawIntBits(rows[r][i]),
            Float.floatToRawIntBits(ElementCodec.get(factor.memory(), type, first + i)),
            () -> what + ", row " + row + ", element " + index + ": bits");
      }
    }
  }
}
