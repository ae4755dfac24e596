package dev.lorikeet.shape;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * The modules of a model as the files of a family name them: Hugging Face's names, those of a
 * decoder block below the layer, each of one projection or of several that are stored as one
 * matrix. Immutable.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param layers what stands before a layer's number in the names of modules, such as {@code
 *     model.layers.}
 * @param modules the linear layers of a block, its experts' apart
 * @param embedding the embeddings, such as {@code model.embed_tokens}
 * @param output the output layer, such as {@code lm_head}
 * @param experts the experts of a block, where the model has them
 */
public record ModuleNames(
    String layers,
    List<Module> modules,
    String embedding,
    String output,
    Optional<Experts> experts) {
  /** Those of Llama and most other families: a module for each projection. */
  public static final ModuleNames LLAMA =
      of(
          "model.layers.",
          Projection.ofLayer().stream().map(p -> new Module(p.path(), List.of(p))).toList());

  /**
   * The experts of a block.
   *
   * @param count how many there are
   * @param paths what may stand before an expert's number below the layer, such as {@code
   *     mlp.experts.}; the first is that of files written today
   * @param routers the names of what chooses among them, below the layer, likewise
   * @param names what a projection of an expert may be called behind its number
   */
  public record Experts(
      int count, List<String> paths, List<String> routers, Map<Projection, List<String>> names) {
    public Experts {
      paths = List.copyOf(paths);
      routers = List.copyOf(routers);
      names = Map.copyOf(names);
      if (count < 1
          || paths.isEmpty()
          || routers.isEmpty()
          || !names.keySet().equals(Set.copyOf(Projection.ofExpert()))) {
        throw new IllegalArgumentException(
            "experts: expected at least one, with names, found " + count + " " + paths);
      }
    }
  }

  /**
   * A linear layer of a block.
   *
   * @param path its name below the layer, such as {@code self_attn.qkv_proj}
   * @param parts the projections whose rows it holds, one after the other
   */
  public record Module(String path, List<Projection> parts) {
    public Module {
      parts = List.copyOf(parts);
      if (path.isEmpty() || parts.isEmpty() || !Projection.ofLayer().containsAll(parts)) {
        throw new IllegalArgumentException(
            "module: expected a name and projections of a layer, found '" + path + "' " + parts);
      }
    }

    /** Returns a module of these projections. */
    public static Module of(String path, Projection... parts) {
      return new Module(path, List.of(parts));
    }
  }

  /** Returns the names of blocks without experts, and of Llama's embeddings and output layer. */
  public static ModuleNames of(String layers, List<Module> modules) {
    return new ModuleNames(layers, modules, "model.embed_tokens", "lm_head", Optional.empty());
  }

  /** Returns the same with other embeddings. */
  public ModuleNames withEmbedding(String name) {
    return new ModuleNames(layers, modules, name, output, experts);
  }

  /** Returns the same with experts. */
  public ModuleNames withExperts(Experts ofBlock) {
    return new ModuleNames(layers, modules, embedding, output, Optional.of(ofBlock));
  }

  public ModuleNames {
    Objects.requireNonNull(layers, "layers");
    Objects.requireNonNull(embedding, "embedding");
    Objects.requireNonNull(output, "output");
    Objects.requireNonNull(experts, "experts");
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
