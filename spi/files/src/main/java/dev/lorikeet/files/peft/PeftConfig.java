package dev.lorikeet.files.peft;

import dev.lorikeet.files.Faults;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What {@code adapter_config.json} says of a LoRA adapter, as far as it changes its weights.
 *
 * @param file where it was read
 * @param rank the rank where no pattern tells another
 * @param alpha the numerator of the scaling where no pattern tells another
 * @param rsLora whether the scaling is {@code alpha / sqrt(rank)} instead of {@code alpha / rank}
 * @param rankPatterns ranks of modules, the first match counts
 * @param alphaPatterns alphas of modules, the first match counts
 * @param targets which modules are adapted
 * @param excluded which are not, although {@code targets} names them
 * @param layers the only layers adapted, if limited
 * @param layersPatterns what stands before the number of a layer in a name; empty for anything
 * @param blockDiagonal which factors are block-diagonal
 * @param dora whether every module has a magnitude
 * @param method what kind of adapter it is
 * @param beside what it changes beside its target modules
 */
record PeftConfig(
    Path file,
    int rank,
    double alpha,
    boolean rsLora,
    List<Pattern<Integer>> rankPatterns,
    List<Pattern<Double>> alphaPatterns,
    Modules targets,
    Optional<Modules> excluded,
    Optional<Set<Integer>> layers,
    List<Pattern<Boolean>> layersPatterns,
    Optional<BlockDiagonal> blockDiagonal,
    boolean dora,
    Method method,
    Beside beside) {

  /** A kind of adapter. */
  enum Method {
    /** LoRA and what extends it. */
    LORA,
    /** Vectors between two matrices that all modules share (arXiv 2310.11454). */
    VERA,
    /** Vectors that outputs are multiplied by (arXiv 2205.05638). */
    IA3
  }

  /**
   * What an adapter changes beside its target modules.
   *
   * @param saved parts of the names of modules that were trained in full
   * @param tokens by the end of a module's name the token ids whose rows were trained
   * @param parameters the ends of names of single parameters that have LoRA
   * @param feedforward which modules of IA3 have their input multiplied
   */
  record Beside(
      List<String> saved,
      Map<String, List<Integer>> tokens,
      List<String> parameters,
      Optional<Modules> feedforward) {
    boolean saves(String module) {
      return saved.stream().anyMatch(module::endsWith);
    }

    boolean hasParameter(String name) {
      return parameters.stream().anyMatch(end -> isOrEndsWith(name, end));
    }

    Optional<List<Integer>> tokensOf(String module) {
      return tokens.entrySet().stream()
          .filter(entry -> isOrEndsWith(module, entry.getKey()))
          .map(Map.Entry::getValue)
          .findFirst();
    }

    private static boolean isOrEndsWith(String name, String end) {
      return name.equals(end) || name.endsWith("." + end);
    }
  }

  /**
   * A regular expression from the file, and what it stands for.
   *
   * @param key where it stands in the file, for messages
   * @param expression matched against whole module names
   * @param value what holds for modules that match
   */
  record Pattern<T>(String key, ModulePattern expression, T value) {
    boolean matches(Path file, String name) {
      try {
        return expression.matches(name);
      } catch (ModulePattern.Unusable e) {
        throw Faults.ADAPTER.refuse(
            file,
            key + ": expected a regular expression of bounded cost, found " + e.getMessage(),
            e);
      }
    }
  }

  /** A choice of modules. */
  sealed interface Modules {
    /** Modules whose name, or the end of it after a dot, is in the list. */
    record Names(Set<String> names) implements Modules {}

    /** Modules whose whole name matches. */
    record Matching(Pattern<Boolean> pattern) implements Modules {}

    /** All linear modules but the output layer. */
    record AllLinear() implements Modules {}

    /** None, where parameters alone have LoRA. */
    record None() implements Modules {}
  }

  /**
   * Which factors are block-diagonal.
   *
   * @param a parts of the names of modules whose A is
   * @param b parts of the names of modules whose B is
   * @param blocks the number of blocks of each
   * @param strict whether each adapted module must be in one of the lists
   */
  record BlockDiagonal(List<String> a, List<String> b, int blocks, boolean strict) {}

  /**
   * What holds for one module.
   *
   * @param rank the rank
   * @param scaling the scaling
   * @param aBlocks the number of blocks of A, 1 if dense
   * @param bBlocks the number of blocks of B, 1 if dense
   */
  record Module(int rank, float scaling, int aBlocks, int bBlocks) {}

  /**
   * Returns whether the configuration adapts a module.
   *
   * @param name the whole name of the module, such as {@code model.layers.0.self_attn.q_proj}
   * @param layersPrefix the part of it before the number of the layer
   */
  boolean covers(String name, String layersPrefix, int layer) {
    if (excluded.isPresent() && names(excluded.get(), name)) {
      return false;
    }
    if (!names(targets, name)) {
      return false;
    }
    boolean exact = targets instanceof Modules.Names list && list.names().contains(name);
    return layers.isEmpty()
        || exact // PEFT asks for the layer only where the name is not given in full
        || (layers.get().contains(layer) && precedesLayer(layersPrefix));
  }

  private boolean names(Modules modules, String name) {
    return switch (modules) {
      case Modules.Names list ->
          list.names().contains(name)
              || list.names().stream().anyMatch(end -> name.endsWith("." + end));
      case Modules.Matching matching -> matching.pattern().matches(file, name);
      case Modules.AllLinear all -> true;
      case Modules.None none -> false;
    };
  }

  /** Returns whether the configuration adapts a module of no layer: embeddings or output. */
  boolean coversOutside(String name) {
    if (excluded.isPresent() && names(excluded.get(), name)) {
      return false;
    }
    return !(targets instanceof Modules.AllLinear)
        && names(targets, name)
        && (layers.isEmpty()
            || (targets instanceof Modules.Names list && list.names().contains(name)));
  }

  /** Returns whether IA3 multiplies the input of a module, and not its output. */
  boolean isFeedforward(String name) {
    return beside.feedforward().isPresent() && names(beside.feedforward().get(), name);
  }

  private boolean precedesLayer(String layersPrefix) {
    return layersPatterns.stream().anyMatch(pattern -> pattern.matches(file, layersPrefix));
  }

  /** Returns what holds for an adapted module. */
  Module module(String name) {
    int moduleRank = value(rankPatterns, name).orElse(rank);
    double moduleAlpha = value(alphaPatterns, name).orElse(alpha);
    float scaling = (float) (moduleAlpha / (rsLora ? Math.sqrt(moduleRank) : moduleRank));
    if (!Float.isFinite(scaling) || scaling == 0) {
      throw Faults.ADAPTER.refuse(
          file,
          "lora_alpha: expected a scaling within float32 for "
              + name
              + ", found "
              + moduleAlpha
              + " over rank "
              + moduleRank);
    }
    if (blockDiagonal.isEmpty()) {
      return new Module(moduleRank, scaling, 1, 1);
    }
    BlockDiagonal bd = blockDiagonal.get();
    boolean a = bd.a().stream().anyMatch(name::contains);
    boolean b = bd.b().stream().anyMatch(name::contains);
    if (a && b) {
      throw Faults.ADAPTER.refuse(
          file,
          "use_bdlora: expected "
              + name
              + " in one of target_modules_bd_a and _b, found it in both");
    }
    if (!a && !b && bd.strict()) {
      throw Faults.ADAPTER.refuse(
          file,
          "use_bdlora: expected "
              + name
              + " in target_modules_bd_a or _b, as match_strict asks, found it in neither");
    }
    return new Module(moduleRank, scaling, a ? bd.blocks() : 1, b ? bd.blocks() : 1);
  }

  private <T> Optional<T> value(List<Pattern<T>> patterns, String name) {
    return patterns.stream().filter(p -> p.matches(file, name)).map(Pattern::value).findFirst();
  }

  /** Returns a configuration that asks for nothing, for files that need none. */
  static PeftConfig plain(Path file) {
    return new PeftConfig(
        file,
        1,
        1,
        false,
        List.of(),
        List.of(),
        new Modules.AllLinear(),
        Optional.empty(),
        Optional.empty(),
        List.of(),
        Optional.empty(),
        false,
        Method.LORA,
        new Beside(List.of(), Map.of(), List.of(), Optional.empty()));
  }

  /** Reads a pattern of the file. */
  static <T> Pattern<T> pattern(Path file, String key, String expression, T value) {
    try {
      return new Pattern<>(key, ModulePattern.parse(expression), value);
    } catch (ModulePattern.Unusable e) {
      String shown = key + ": '" + Faults.show(expression) + "': ";
      if (e.isSyntax()) {
        throw Faults.ADAPTER.refuse(
            file, shown + "expected a regular expression, found " + e.getMessage(), e);
      }
      throw Faults.ADAPTER.refuseUnsupported(
          file, shown + "expected a regular expression without " + e.getMessage(), e);
    }
  }
}
