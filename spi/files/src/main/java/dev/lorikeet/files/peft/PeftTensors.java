package dev.lorikeet.files.peft;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.ModuleNames;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The tensors of a PEFT adapter by module. Names are {@code
 * base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight}, or what stands for {@code
 * model.layers.} and {@code self_attn.q_proj} in the base model's family; {@code base_model.model.}
 * and {@code model.} may be missing, and the name that the adapter had in training may stand before
 * {@code weight}, each the same way in all names.
 */
final class PeftTensors {
  private static final String WRAPPER = "base_model.model.";
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
   * Where a module is.
   *
   * @param layer the layer
   * @param path the name below it
   */
  private record Place(int layer, String path) {}

  /**
   * A name taken apart.
   *
   * @param outer what stands before {@code layers.}, wrapper included
   * @param place the module
   * @param factor one of {@link #FACTORS}
   * @param adapter the adapter's name in training, empty if it is not there
   */
  private record Parsed(String outer, Place place, String factor, String adapter) {}

  private final Path file;
  private final Names names;
  private final String outer;
  private final Map<Place, Pair> pairs;
  private final NavigableMap<Integer, String> byLayer;

  private PeftTensors(
      Path file,
      Names names,
      String outer,
      Map<Place, Pair> pairs,
      NavigableMap<Integer, String> byLayer) {
    this.file = file;
    this.names = names;
    this.outer = outer;
    this.pairs = pairs;
    this.byLayer = byLayer;
  }

  /**
   * What the names of a family's modules are made of.
   *
   * @param root what may be missing before {@code layers}
   * @param layers what stands before the number of a layer, after the root
   * @param modules the modules of a layer
   */
  private record Names(String root, String layers, ModuleNames modules) {
    static Names of(ModuleNames modules) {
      int end = modules.layers().lastIndexOf('.', modules.layers().length() - 2) + 1;
      return new Names(
          modules.layers().substring(0, end), modules.layers().substring(end), modules);
    }
  }

  static PeftTensors of(Path file, SafetensorsHeader header, ModuleNames modules, boolean dora) {
    if (header.tensors().isEmpty()) {
      throw Faults.ADAPTER.refuse(file, "expected tensors, found none");
    }
    Names names = Names.of(modules);
    Map<Place, Named> as = new HashMap<>();
    Map<Place, Named> bs = new HashMap<>();
    Map<Place, Named> magnitudes = new HashMap<>();
    NavigableMap<Integer, String> byLayer = new TreeMap<>();
    Optional<Parsed> first = Optional.empty();
    for (var entry : header.tensors().entrySet()) {
      String name = entry.getKey();
      Parsed parsed = parse(file, names, name, dora);
      if (first.isEmpty()) {
        first = Optional.of(parsed);
      }
      checkAlike(file, names, name, first.get(), parsed);
      byLayer.put(parsed.place().layer(), name);
      Map<Place, Named> group =
          switch (parsed.factor()) {
            case "A" -> as;
            case "B" -> bs;
            default -> magnitudes;
          };
      group.put(parsed.place(), new Named(name, entry.getValue()));
    }
    return new PeftTensors(
        file, names, first.orElseThrow().outer(), pairs(file, as, bs, magnitudes), byLayer);
  }

  private static void checkAlike(Path file, Names names, String name, Parsed first, Parsed parsed) {
    if (!parsed.outer().equals(first.outer()) || !parsed.adapter().equals(first.adapter())) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(name)
              + ": expected a name that begins with '"
              + first.outer()
              + names.layers()
              + "' and belongs to adapter '"
              + Faults.show(first.adapter())
              + "' like the others, found '"
              + parsed.outer()
              + names.layers()
              + "' and '"
              + Faults.show(parsed.adapter())
              + "'");
    }
  }

  private static Map<Place, Pair> pairs(
      Path file, Map<Place, Named> as, Map<Place, Named> bs, Map<Place, Named> magnitudes) {
    Map<Place, Pair> pairs = new HashMap<>();
    as.forEach(
        (place, a) -> {
          Named b = bs.get(place);
          if (b == null) {
            throw Faults.ADAPTER.refuse(
                file, SafetensorsHeader.tensor(a.name()) + ": expected its lora_B, found none");
          }
          pairs.put(place, new Pair(a, b, Optional.ofNullable(magnitudes.get(place))));
        });
    bs.forEach(
        (place, b) -> {
          if (!as.containsKey(place)) {
            throw Faults.ADAPTER.refuse(
                file, SafetensorsHeader.tensor(b.name()) + ": expected its lora_A, found none");
          }
        });
    magnitudes.forEach(
        (place, magnitude) -> {
          if (!as.containsKey(place)) {
            throw Faults.ADAPTER.refuse(
                file,
                SafetensorsHeader.tensor(magnitude.name()) + ": expected its lora_A, found none");
          }
        });
    return pairs;
  }

  private static Parsed parse(Path file, Names names, String name, boolean dora) {
    PeftFeatures.checkTensor(file, name, dora);
    int layersAt = outerEnd(names, name);
    if (!name.startsWith(names.layers(), layersAt)) {
      throw unknown(file, names, name);
    }
    int layerAt = layersAt + names.layers().length();
    int layerEnd = name.indexOf('.', layerAt);
    int factorAt = name.indexOf(FACTOR, layerAt);
    // Magnitudes have it no more since PEFT 0.12.
    boolean isWeight = name.endsWith(".weight");
    if (layerEnd < 0
        || factorAt < layerEnd
        || !(isWeight || name.startsWith(MAGNITUDE, factorAt + FACTOR.length()))) {
      throw unknown(file, names, name);
    }
    int layer = layer(file, names, name, name.substring(layerAt, layerEnd));
    String path = factorAt == layerEnd ? "" : name.substring(layerEnd + 1, factorAt);
    if (names.modules().named(path).isEmpty()) {
      throw unknown(file, names, name);
    }
    int end = isWeight ? name.length() - ".weight".length() : name.length();
    String[] rest = name.substring(factorAt + FACTOR.length(), end).split("\\.", 2);
    boolean isNamed = rest.length == 2;
    if (!FACTORS.contains(rest[0]) || (isNamed && rest[1].isEmpty())) {
      throw unknown(file, names, name);
    }
    return new Parsed(
        name.substring(0, layersAt), new Place(layer, path), rest[0], isNamed ? rest[1] : "");
  }

  private static int outerEnd(Names names, String name) {
    int end = name.startsWith(WRAPPER) ? WRAPPER.length() : 0;
    return name.startsWith(names.root(), end) ? end + names.root().length() : end;
  }

  private static int layer(Path file, Names names, String name, String digits) {
    boolean number =
        !digits.isEmpty()
            && digits.length() <= MAX_LAYER_DIGITS
            && digits.chars().allMatch(c -> c >= '0' && c <= '9')
            && (digits.length() == 1 || digits.charAt(0) != '0');
    if (!number) {
      throw unknown(file, names, name);
    }
    return Integer.parseInt(digits);
  }

  private static LorikeetException unknown(Path file, Names names, String name) {
    ModuleNames.Module first = names.modules().modules().getFirst();
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(name)
            + ": expected lora_A and lora_B weights of "
            + names.modules().modules().stream()
                .map(ModuleNames.Module::path)
                .collect(Collectors.joining(", "))
            + ", as in "
            + WRAPPER
            + names.modules().layers()
            + "0."
            + first.path()
            + ".lora_A.weight");
  }

  /** Returns what stands before a layer's number in the names that PEFT matches. */
  String layersPrefix() {
    return (outer.startsWith(WRAPPER) ? outer.substring(WRAPPER.length()) : outer) + names.layers();
  }

  /** Returns the factors of a module, if they are there. */
  Optional<Pair> pair(int layer, ModuleNames.Module module) {
    return Optional.ofNullable(pairs.get(new Place(layer, module.path())));
  }

  /** Returns the error of a module without tensors. */
  LorikeetException missing(int layer, ModuleNames.Module module) {
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(
                outer + names.layers() + layer + "." + module.path() + ".lora_A.weight")
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
