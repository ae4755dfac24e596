package dev.lorikeet.files.peft;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * The tensors of a PEFT adapter by target module. Names are {@code
 * base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight}; {@code base_model.model.} and
 * {@code model.} may be missing, and the name that the adapter had in training may stand before
 * {@code weight}, each the same way in all names.
 */
final class PeftTensors {
  private static final String WRAPPER = "base_model.model.";
  private static final String MODEL = "model.";
  private static final String LAYERS = "layers.";
  private static final String FACTOR = ".lora_";
  private static final String MAGNITUDE = "magnitude_vector";
  private static final Set<String> FACTORS = Set.of("A", "B", MAGNITUDE);
  private static final int MAX_LAYER_DIGITS = 6;

  /**
   * A tensor.
   *
   * @param name its name in the file
   * @param entry its entry in the header
   */
  record Named(String name, SafetensorsHeader.Entry entry) {}

  /**
   * The two factors of a target module, and its magnitude if there is one.
   *
   * @param a the factor A
   * @param b the factor B
   * @param magnitude what DoRA scales the rows to
   */
  record Pair(Named a, Named b, Optional<Named> magnitude) {
    String anyName() {
      return a.name();
    }
  }

  /**
   * A name taken apart.
   *
   * @param outer what stands before {@code layers.}, wrapper included
   * @param target the target module
   * @param factor one of {@link #FACTORS}
   * @param adapter the adapter's name in training, empty if it is not there
   */
  private record Parsed(String outer, TargetModule target, String factor, String adapter) {}

  private final Path file;
  private final String outer;
  private final Map<TargetModule, Pair> pairs;
  private final NavigableMap<Integer, String> byLayer;

  private PeftTensors(
      Path file,
      String outer,
      Map<TargetModule, Pair> pairs,
      NavigableMap<Integer, String> byLayer) {
    this.file = file;
    this.outer = outer;
    this.pairs = pairs;
    this.byLayer = byLayer;
  }

  static PeftTensors of(Path file, SafetensorsHeader header, boolean dora) {
    if (header.tensors().isEmpty()) {
      throw Faults.ADAPTER.refuse(file, "expected tensors, found none");
    }
    Map<TargetModule, Named> as = new HashMap<>();
    Map<TargetModule, Named> bs = new HashMap<>();
    Map<TargetModule, Named> magnitudes = new HashMap<>();
    NavigableMap<Integer, String> byLayer = new TreeMap<>();
    Optional<Parsed> first = Optional.empty();
    for (var entry : header.tensors().entrySet()) {
      String name = entry.getKey();
      Parsed parsed = parse(file, name, dora);
      if (first.isEmpty()) {
        first = Optional.of(parsed);
      }
      checkAlike(file, name, first.get(), parsed);
      byLayer.put(parsed.target().layer(), name);
      Map<TargetModule, Named> group =
          switch (parsed.factor()) {
            case "A" -> as;
            case "B" -> bs;
            default -> magnitudes;
          };
      group.put(parsed.target(), new Named(name, entry.getValue()));
    }
    return new PeftTensors(
        file, first.orElseThrow().outer(), pairs(file, as, bs, magnitudes), byLayer);
  }

  private static void checkAlike(Path file, String name, Parsed first, Parsed parsed) {
    if (!parsed.outer().equals(first.outer()) || !parsed.adapter().equals(first.adapter())) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(name)
              + ": expected a name that begins with '"
              + first.outer()
              + LAYERS
              + "' and belongs to adapter '"
              + Faults.show(first.adapter())
              + "' like the others, found '"
              + parsed.outer()
              + LAYERS
              + "' and '"
              + Faults.show(parsed.adapter())
              + "'");
    }
  }

  private static Map<TargetModule, Pair> pairs(
      Path file,
      Map<TargetModule, Named> as,
      Map<TargetModule, Named> bs,
      Map<TargetModule, Named> magnitudes) {
    Map<TargetModule, Pair> pairs = new HashMap<>();
    as.forEach(
        (target, a) -> {
          Named b = bs.get(target);
          if (b == null) {
            throw Faults.ADAPTER.refuse(
                file, SafetensorsHeader.tensor(a.name()) + ": expected its lora_B, found none");
          }
          pairs.put(target, new Pair(a, b, Optional.ofNullable(magnitudes.get(target))));
        });
    bs.forEach(
        (target, b) -> {
          if (!as.containsKey(target)) {
            throw Faults.ADAPTER.refuse(
                file, SafetensorsHeader.tensor(b.name()) + ": expected its lora_A, found none");
          }
        });
    magnitudes.forEach(
        (target, magnitude) -> {
          if (!as.containsKey(target)) {
            throw Faults.ADAPTER.refuse(
                file,
                SafetensorsHeader.tensor(magnitude.name()) + ": expected its lora_A, found none");
          }
        });
    return pairs;
  }

  private static Parsed parse(Path file, String name, boolean dora) {
    PeftFeatures.checkTensor(file, name, dora);
    int layersAt = outerEnd(name);
    if (!name.startsWith(LAYERS, layersAt)) {
      throw unknown(file, name);
    }
    int layerAt = layersAt + LAYERS.length();
    int layerEnd = name.indexOf('.', layerAt);
    int factorAt = name.indexOf(FACTOR, layerAt);
    // Magnitudes have it no more since PEFT 0.12.
    boolean isWeight = name.endsWith(".weight");
    if (layerEnd < 0
        || factorAt < layerEnd
        || !(isWeight || name.startsWith(MAGNITUDE, factorAt + FACTOR.length()))) {
      throw unknown(file, name);
    }
    int layer = layer(file, name, name.substring(layerAt, layerEnd));
    String path = factorAt == layerEnd ? "" : name.substring(layerEnd + 1, factorAt);
    Projection projection =
        Projection.ofLayer().stream()
            .filter(p -> p.path().equals(path))
            .findFirst()
            .orElseThrow(() -> unknown(file, name));
    int end = isWeight ? name.length() - ".weight".length() : name.length();
    String[] rest = name.substring(factorAt + FACTOR.length(), end).split("\\.", 2);
    boolean isNamed = rest.length == 2;
    if (!FACTORS.contains(rest[0]) || (isNamed && rest[1].isEmpty())) {
      throw unknown(file, name);
    }
    return new Parsed(
        name.substring(0, layersAt),
        TargetModule.of(layer, projection),
        rest[0],
        isNamed ? rest[1] : "");
  }

  private static int outerEnd(String name) {
    int end = name.startsWith(WRAPPER) ? WRAPPER.length() : 0;
    return name.startsWith(MODEL, end) ? end + MODEL.length() : end;
  }

  private static int layer(Path file, String name, String digits) {
    boolean number =
        !digits.isEmpty()
            && digits.length() <= MAX_LAYER_DIGITS
            && digits.chars().allMatch(c -> c >= '0' && c <= '9')
            && (digits.length() == 1 || digits.charAt(0) != '0');
    if (!number) {
      throw unknown(file, name);
    }
    return Integer.parseInt(digits);
  }

  private static LorikeetException unknown(Path file, String name) {
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(name)
            + ": expected lora_A and lora_B weights of the seven projections, as in"
            + " base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  }

  /** Returns what stands before a layer's number in the names that PEFT matches. */
  String layersPrefix() {
    return (outer.startsWith(WRAPPER) ? outer.substring(WRAPPER.length()) : outer) + LAYERS;
  }

  /** Returns the factors of a target module, if they are there. */
  Optional<Pair> pair(TargetModule target) {
    return Optional.ofNullable(pairs.get(target));
  }

  /** Returns the error of a target module without tensors. */
  LorikeetException missing(TargetModule target) {
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(
                outer
                    + LAYERS
                    + target.layer()
                    + "."
                    + target.projection().path()
                    + ".lora_A.weight")
            + ": expected it, as target_modules of "
            + PeftAdapterFile.CONFIG
            + " covers this module of the base model, found none");
  }

  /** Returns the number of layers that have tensors, those before the last without any included. */
  int layers() {
    return byLayer.lastKey() + 1;
  }

  /** Returns the name of a tensor of a layer that a model of so many layers does not have. */
  Optional<String> layerBeyond(int layers) {
    return Optional.ofNullable(byLayer.ceilingEntry(layers)).map(Map.Entry::getValue);
  }
}
