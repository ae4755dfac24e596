package dev.lorikeet.files.peft;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.ModuleNames;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * The tensors of a PEFT adapter by module. Names are {@code
 * base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight}, or what stands for {@code
 * model.layers.} and {@code self_attn.q_proj} in the base model's family; {@code base_model.model.}
 * and {@code model.} may be missing, and the name that the adapter had in training may stand before
 * {@code weight}, each the same way in all names. Whoever asks for a tensor has read it; what is
 * left in the end is refused.
 */
final class PeftTensors {
  private static final String WRAPPER = "base_model.model.";
  private static final String BASE_LAYER = "base_layer";
  private static final int MAX_LAYER_DIGITS = 6;

  /** What a tensor is to its module. */
  enum Role {
    /** The factor A. */
    A("lora_A"),
    /** The factor B. */
    B("lora_B"),
    /** A of embeddings. */
    EMBEDDING_A("lora_embedding_A"),
    /** B of embeddings. */
    EMBEDDING_B("lora_embedding_B"),
    /** DoRA's magnitude. */
    MAGNITUDE("lora_magnitude_vector"),
    /** VeRA's vector over the output. */
    VERA_B("vera_lambda_b"),
    /** VeRA's vector over the rank. */
    VERA_D("vera_lambda_d"),
    /** VeRA's A of all modules. */
    VERA_SHARED_A("vera_A"),
    /** VeRA's B of all modules. */
    VERA_SHARED_B("vera_B"),
    /** A as MLX has it. */
    MLX_A("lora_a"),
    /** B as MLX has it. */
    MLX_B("lora_b"),
    /** The magnitude as MLX calls it. */
    MLX_M("m"),
    /** IA3's vector. */
    IA3("ia3_l"),
    /** Rows of embeddings that were trained. */
    TOKENS("trainable_tokens_delta"),
    /** The module's matrix, trained in full. */
    SAVED("modules_to_save"),
    /** The bias of the factor B. */
    B_BIAS(""),
    /** The module's bias. */
    BIAS(""),
    /** The module's matrix, trained in full or a copy. */
    WEIGHT("");

    private final String word;

    Role(String word) {
      this.word = word;
    }

    static Optional<Role> of(String segment) {
      return Arrays.stream(values())
          .filter(role -> !role.word.isEmpty() && role.word.equals(segment))
          .findFirst();
    }
  }

  /**
   * A tensor.
   *
   * @param name its name in the file
   * @param entry its entry in the header
   */
  record Named(String name, SafetensorsHeader.Entry entry) {}

  /**
   * A name taken apart.
   *
   * @param outer what stands before the module, wrapper and root included
   * @param module the module, without the root before {@code layers}
   * @param role what the tensor is to it
   * @param adapter the adapter's name in training, empty if it is not there
   */
  private record Parsed(String outer, String module, Role role, String adapter) {}

  /** Both factors of a module. */
  record Pair(Named a, Named b) {}

  private final Path file;
  private final Names names;
  private final String outer;
  private final Map<String, Map<Role, Named>> byModule;
  private final NavigableMap<Integer, String> byLayer;

  /** Told once it is sure that the missing factor is not there under a name that is unknown. */
  private final List<LorikeetException> alone = new ArrayList<>();

  private PeftTensors(
      Path file,
      Names names,
      String outer,
      Map<String, Map<Role, Named>> byModule,
      NavigableMap<Integer, String> byLayer) {
    this.file = file;
    this.names = names;
    this.outer = outer;
    this.byModule = byModule;
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

  static PeftTensors of(Path file, SafetensorsHeader header, ModuleNames modules) {
    if (header.tensors().isEmpty()) {
      throw Faults.ADAPTER.refuse(file, "expected tensors, found none");
    }
    Names names = Names.of(modules);
    Map<String, Map<Role, Named>> byModule = new TreeMap<>();
    NavigableMap<Integer, String> byLayer = new TreeMap<>();
    Optional<Parsed> first = Optional.empty();
    for (var entry : header.tensors().entrySet()) {
      String name = entry.getKey();
      Parsed parsed = parse(file, names, name);
      int layer = layer(file, names, name, parsed.module());
      if (layer >= 0) {
        byLayer.put(layer, name);
        first = first.isEmpty() ? Optional.of(parsed) : first;
        checkAlike(file, names, name, first.get(), parsed);
      }
      Map<Role, Named> roles =
          byModule.computeIfAbsent(parsed.module(), m -> new EnumMap<>(Role.class));
      if (roles.put(parsed.role(), new Named(name, entry.getValue())) != null) {
        throw Faults.ADAPTER.refuse(
            file,
            SafetensorsHeader.tensor(name) + ": expected one tensor of that meaning, found two");
      }
    }
    return new PeftTensors(
        file, names, first.map(Parsed::outer).orElse(WRAPPER + names.root()), byModule, byLayer);
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
              + Faults.show(parsed.outer())
              + names.layers()
              + "' and '"
              + Faults.show(parsed.adapter())
              + "'");
    }
  }

  private static Parsed parse(Path file, Names names, String name) {
    int wrapperEnd = name.startsWith(WRAPPER) ? WRAPPER.length() : 0;
    int outerEnd =
        name.startsWith(names.root(), wrapperEnd) ? wrapperEnd + names.root().length() : wrapperEnd;
    String outer = name.substring(0, outerEnd);
    List<String> segments = List.of(name.substring(outerEnd).split("\\.", -1));
    if (segments.contains("")) {
      throw unknown(file, names, name);
    }
    String last = segments.getLast();
    for (int i = 1; i < segments.size(); i++) {
      Optional<Role> role = Role.of(segments.get(i));
      if (role.isPresent()) {
        boolean ends = i + 1 < segments.size() && (last.equals("weight") || last.equals("bias"));
        int end = ends ? segments.size() - 1 : segments.size();
        String adapter = String.join(".", segments.subList(i + 1, end));
        return new Parsed(outer, module(segments, i), withEnding(role.get(), ends, last), adapter);
      }
    }
    if (segments.size() < 2 || !(last.equals("weight") || last.equals("bias"))) {
      throw unknown(file, names, name);
    }
    Role role = last.equals("bias") ? Role.BIAS : Role.WEIGHT;
    int end = segments.size() - 1;
    end -= end > 1 && segments.get(end - 1).equals(BASE_LAYER) ? 1 : 0;
    return new Parsed(outer, module(segments, end), role, "");
  }

  private static Role withEnding(Role role, boolean ends, String last) {
    boolean isBias = ends && last.equals("bias");
    if (isBias && role == Role.B) {
      return Role.B_BIAS;
    }
    return isBias && role == Role.SAVED ? Role.BIAS : role;
  }

  /** The wrapper of single token embeddings is no module of the base model. */
  private static String module(List<String> segments, int end) {
    int last = end > 1 && segments.get(end - 1).equals("token_adapter") ? end - 1 : end;
    return String.join(".", segments.subList(0, last));
  }

  /** Returns the layer of a module, -1 if it is of none. */
  private static int layer(Path file, Names names, String name, String module) {
    if (!module.startsWith(names.layers())) {
      return -1;
    }
    int begin = names.layers().length();
    int end = module.indexOf('.', begin);
    String digits = end < 0 ? "" : module.substring(begin, end);
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
    return root() + names.layers();
  }

  private String root() {
    return outer.startsWith(WRAPPER) ? outer.substring(WRAPPER.length()) : outer;
  }

  /** Returns a module of a layer as tensors have it. */
  String inLayer(int layer, String path) {
    return names.layers() + layer + "." + path;
  }

  /** Returns a module of no layer as tensors have it: without the root that layers have. */
  String ofModel(String module) {
    return module.startsWith(names.root()) ? module.substring(names.root().length()) : module;
  }

  /** Looks at a tensor that several modules share. */
  Optional<Named> find(String module, Role role) {
    return Optional.ofNullable(byModule.get(module)).map(roles -> roles.get(role));
  }

  /** Takes a tensor, if it is there. */
  Optional<Named> take(String module, Role role) {
    Map<Role, Named> roles = byModule.get(module);
    if (roles == null) {
      return Optional.empty();
    }
    Optional<Named> found = Optional.ofNullable(roles.remove(role));
    if (roles.isEmpty()) {
      byModule.remove(module);
    }
    return found;
  }

  /** Takes both factors of a module, if they are there; it has both or none. */
  Optional<Pair> takePair(String module, Role a, Role b) {
    Optional<Named> ofA = take(module, a);
    Optional<Named> ofB = take(module, b);
    if (ofA.isPresent() && ofB.isPresent()) {
      return Optional.of(new Pair(ofA.get(), ofB.get()));
    }
    ofA.ifPresent(found -> alone.add(alone(found, b)));
    ofB.ifPresent(found -> alone.add(alone(found, a)));
    return Optional.empty();
  }

  private LorikeetException alone(Named found, Role other) {
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(found.name()) + ": expected its " + other.word + ", found none");
  }

  /** Returns the error of a module without tensors. */
  LorikeetException missing(String module) {
    return Faults.ADAPTER.refuse(
        file,
        SafetensorsHeader.tensor(outer + module + ".lora_A.weight")
            + ": expected it, as target_modules of "
            + PeftAdapterFile.CONFIG
            + " covers this module of the base model, found none");
  }

  /** Returns the number of layers that have tensors, those before the last without any included. */
  int layers() {
    return byLayer.isEmpty() ? 0 : byLayer.lastKey() + 1;
  }

  /**
   * Refuses what nobody has taken: of a layer that is not there, or of a module that is not.
   *
   * @param saved whether the configuration says that a module was trained in full
   */
  void refuseRest(int layers, Predicate<String> saved) {
    Optional.ofNullable(byLayer.ceilingEntry(layers))
        .ifPresent(
            beyond -> {
              throw Faults.ADAPTER.refuse(
                  file,
                  SafetensorsHeader.tensor(beyond.getValue())
                      + ": expected layers 0 to "
                      + (layers - 1)
                      + " of the base model");
            });
    for (Map.Entry<String, Map<Role, Named>> module : byModule.entrySet()) {
      Map.Entry<Role, Named> first = module.getValue().entrySet().iterator().next();
      Role role = first.getKey();
      String name = first.getValue().name();
      Optional<String> feature =
          switch (role) {
            case MAGNITUDE -> refused(module.getKey(), "DoRA (lora_magnitude_vector)");
            case SAVED, WEIGHT ->
                role == Role.SAVED || saved.test(module.getKey())
                    ? Optional.of("modules trained in full beside embeddings and output layer")
                    : Optional.empty();
            case BIAS -> refused(module.getKey(), "biases");
            case TOKENS -> Optional.of("trained tokens of other modules than the embeddings");
            default -> Optional.empty();
          };
      if (feature.isPresent()) {
        throw Faults.ADAPTER.refuseUnsupported(
            file, SafetensorsHeader.tensor(name) + ": " + feature.get() + " are not supported");
      }
      throw unknown(file, names, name);
    }
    if (!alone.isEmpty()) {
      throw alone.getFirst();
    }
  }

  private static Optional<String> refused(String module, String feature) {
    return Optional.of(feature + " of " + Faults.show(module));
  }
}
