package dev.lorikeet.shape;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * The linear layers of a decoder block as the files of a family name them: Hugging Face's names
 * below the layer, each of one projection or of several that are stored as one matrix. Immutable.
 *
 * @param layers what stands before a layer's number in the names of modules, such as {@code
 *     model.layers.}
 * @param modules the modules of a block
 */
public record ModuleNames(String layers, List<Module> modules) {
  /** Those of Llama and most other families: a module for each projection. */
  public static final ModuleNames LLAMA =
      new ModuleNames(
          "model.layers.",
          Projection.ofLayer().stream().map(p -> new Module(p.path(), List.of(p))).toList());

  /**
   * A linear layer of a block.
   *
   * @param path its name below the layer, such as {@code self_attn.qkv_proj}
   * @param parts the projections whose rows it holds, one after the other
   */
  public record Module(String path, List<Projection> parts) {
    public Module {
      parts = List.copyOf(parts);
      if (path.isEmpty() || parts.isEmpty() || !parts.stream().allMatch(Projection::isOfLayer)) {
        throw new IllegalArgumentException(
            "module: expected a name and projections of a layer, found '" + path + "' " + parts);
      }
    }

    /** Returns a module of these projections. */
    public static Module of(String path, Projection... parts) {
      return new Module(path, List.of(parts));
    }
  }

  public ModuleNames {
    Objects.requireNonNull(layers, "layers");
    modules = List.copyOf(modules);
    List<Projection> all = new ArrayList<>();
    modules.forEach(module -> all.addAll(module.parts()));
    if (all.isEmpty() || all.size() != Set.copyOf(all).size()) {
      throw new IllegalArgumentException(
          "modules: expected each projection in one of them, found " + modules);
    }
  }

  /** Returns the projections that the model has, in the order in which a block uses them. */
  public List<Projection> projections() {
    Set<Projection> all = EnumSet.noneOf(Projection.class);
    modules.forEach(module -> all.addAll(module.parts()));
    return List.copyOf(all);
  }

  /** Returns the module that holds a projection's rows, if the model has it. */
  public Optional<Module> of(Projection projection) {
    return modules.stream().filter(module -> module.parts().contains(projection)).findFirst();
  }

  /** Returns the module of this name below the layer, if there is one. */
  public Optional<Module> named(String path) {
    return modules.stream().filter(module -> module.path().equals(path)).findFirst();
  }
}
