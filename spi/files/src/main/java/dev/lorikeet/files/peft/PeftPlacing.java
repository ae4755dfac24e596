package dev.lorikeet.files.peft;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.PlacedPart;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.peft.PeftTensors.Named;
import dev.lorikeet.files.peft.PeftTensors.Pair;
import dev.lorikeet.files.peft.PeftTensors.Role;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/** Checks the shapes of an adapter's tensors and collects where they go. For one thread. */
final class PeftPlacing {
  private static final int MAX_FEATURES = Integer.MAX_VALUE / 8;

  private final Path file;
  private final PeftConfig config;
  private final Optional<ModelShape> shape;
  private final List<Placed> placed = new ArrayList<>();
  private final List<PlacedPart> parts = new ArrayList<>();

  PeftPlacing(Path file, PeftConfig config, Optional<ModelShape> shape) {
    this.file = file;
    this.config = config;
    this.shape = shape;
  }

  /** Returns everything in the order of the modules. */
  AdapterPlan plan() {
    placed.sort(Comparator.comparing(at -> at.spec().target()));
    parts.sort(
        Comparator.comparing((PlacedPart at) -> at.spec().target())
            .thenComparing(at -> at.spec().kind()));
    for (int p = 1; p < parts.size(); p++) {
      PartSpec spec = parts.get(p).spec();
      PartSpec before = parts.get(p - 1).spec();
      if (spec.target().equals(before.target()) && spec.kind() == before.kind()) {
        throw Faults.ADAPTER.refuseUnsupported(
            config.file(),
            "feedforward_modules: two vectors that the output of "
                + spec.target()
                + " is multiplied by are not supported");
      }
    }
    return AdapterPlan.of(placed, parts);
  }

  void add(TargetSpec spec, Stored a, Stored b) {
    add(new Placed(spec, a, b, Optional.empty()));
  }

  void add(Placed module) {
    placed.add(module);
  }

  /** Adds a module's target modules: as many as it holds projections, each with all of A. */
  void factors(
      int layer, ModuleNames.Module names, String name, Pair pair, Optional<Named> magnitude) {
    PeftConfig.Module module = config.module(name);
    int in =
        shape
            .map(s -> s.inFeatures(names.parts().getFirst()))
            .orElseGet(() -> width(pair.a(), 1, module.aBlocks()));
    int out = shape.map(s -> s.outFeatures(names)).orElseGet(() -> width(pair.b(), 0, 1));
    checkBlocks(name, "A", module.aBlocks(), in, module.rank());
    checkBlocks(name, "B", module.bBlocks(), out, module.rank());
    boolean blocked = module.aBlocks() > 1 || module.bBlocks() > 1;
    if (names.parts().size() > 1 && module.bBlocks() > 1) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(),
          "use_bdlora.target_modules_bd_b: a block-diagonal B of "
              + name
              + ", which holds several projections, is not supported");
    }
    if (config.dora() && blocked) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(), PeftFeatures.DORA + ": DoRA of block-diagonal factors is not supported");
    }
    checkShape(pair.a(), module.rank(), in / module.aBlocks(), "[rank, in]", module.aBlocks());
    checkShape(pair.b(), out, module.rank() / module.bBlocks(), "[out, rank]", module.bBlocks());
    checkMagnitude(name, magnitude, out);
    Stored a = stored(pair.a());
    Stored b = stored(pair.b());
    for (Part part : parts(layer, names, out)) {
      TargetSpec spec =
          TargetSpec.builder(part.target())
              .rank(module.rank())
              .inFeatures(in)
              .outFeatures(part.rows())
              .scaling(module.scaling())
              .aBlocks(module.aBlocks())
              .bBlocks(module.bBlocks())
              .type(typeOf(a, b))
              .magnitude(config.dora())
              .build();
      placed.add(
          new Placed(
              spec,
              a,
              b.behind((long) part.first() * module.rank()),
              magnitude.map(this::stored).map(stored -> stored.behind(part.first()))));
    }
  }

  /**
   * A projection of a module.
   *
   * @param target the projection
   * @param first its first row in the module
   * @param rows how many it has
   */
  private record Part(TargetModule target, int first, int rows) {}

  private List<Part> parts(int layer, ModuleNames.Module names, int out) {
    List<Part> found = new ArrayList<>();
    int row = 0;
    for (Projection projection : names.parts()) {
      int rows = names.parts().size() == 1 ? out : shape.orElseThrow().outFeatures(projection);
      found.add(new Part(TargetModule.of(layer, projection), row, rows));
      row += rows;
    }
    return found;
  }

  /** Returns the type that holds the values of both factors. */
  static ElementType typeOf(Stored a, Stored b) {
    return a.type() == b.type() ? a.type() : ElementType.F32;
  }

  /** Adds factors of embeddings or of the output layer. */
  void outside(TargetModule target, String name, Pair pair) {
    PeftConfig.Module module = config.module(name);
    if (config.dora() || module.aBlocks() > 1 || module.bBlocks() > 1) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(),
          (config.dora() ? PeftFeatures.DORA : "use_bdlora")
              + ": it is not supported for "
              + name
              + ", which has plain LoRA only");
    }
    Projection projection = target.projection();
    int in = shape.map(s -> s.inFeatures(projection)).orElseGet(() -> width(pair.a(), 1, 1));
    int out = shape.map(s -> s.outFeatures(projection)).orElseGet(() -> width(pair.b(), 0, 1));
    checkShape(pair.a(), module.rank(), in, "[rank, in]", 1);
    checkShape(pair.b(), out, module.rank(), "[out, rank]", 1);
    Stored a = stored(pair.a());
    Stored b = stored(pair.b());
    add(
        TargetSpec.builder(target)
            .rank(module.rank())
            .inFeatures(in)
            .outFeatures(out)
            .scaling(module.scaling())
            .type(typeOf(a, b))
            .build(),
        a,
        b);
  }

  /** Adds the whole matrix of embeddings or output layer, trained or copied. */
  void matrix(TargetModule target, Named tensor) {
    int rows = shape.map(ModelShape::vocabulary).orElseGet(() -> width(tensor, 0, 1));
    int columns = shape.map(ModelShape::hidden).orElseGet(() -> width(tensor, 1, 1));
    if (!tensor.entry().shape().equals(List.of((long) rows, (long) columns))) {
      throw Faults.ADAPTER.refuseUnsupported(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected the base model's "
              + rows
              + " tokens of "
              + columns
              + " elements, found "
              + tensor.entry().shape()
              + "; an adapter that changes the size of the vocabulary is not supported: merge it"
              + " into a model of its own");
    }
    Stored stored = stored(tensor);
    parts.add(
        new PlacedPart(
            new PartSpec(target, PartSpec.Kind.ROWS, rows, columns, stored.type(), List.of()),
            stored));
  }

  /** Adds rows of embeddings that were trained, in the order of the configuration. */
  void rows(TargetModule target, Named tensor, List<Integer> tokens) {
    int columns = shape.map(ModelShape::hidden).orElseGet(() -> width(tensor, 1, 1));
    checkShape(tensor, tokens.size(), columns, "[trainable_token_indices, hidden]", 1);
    shape.ifPresent(
        s ->
            tokens.stream()
                .filter(token -> token >= s.vocabulary())
                .findFirst()
                .ifPresent(
                    token -> {
                      throw Faults.ADAPTER.refuse(
                          config.file(),
                          "trainable_token_indices: expected ids below the vocabulary's "
                              + s.vocabulary()
                              + ", found "
                              + token);
                    }));
    Stored stored = stored(tensor);
    parts.add(
        new PlacedPart(
            new PartSpec(target, PartSpec.Kind.ROWS, tokens.size(), columns, stored.type(), tokens),
            stored));
  }

  /** Adds a vector over the output features of a module, a part to each of its projections. */
  void vector(int layer, ModuleNames.Module names, PartSpec.Kind kind, Named tensor) {
    int out = shape.map(s -> s.outFeatures(names)).orElseGet(() -> length(tensor));
    if (length(tensor) != out) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected shape ["
              + out
              + "], found "
              + tensor.entry().shape());
    }
    Stored stored = stored(tensor);
    for (Part part : parts(layer, names, out)) {
      parts.add(
          new PlacedPart(
              PartSpec.vector(part.target(), kind, part.rows()), stored.behind(part.first())));
    }
  }

  /** Adds a module of VeRA as LoRA: A's rows times one vector, B's rows times the other. */
  boolean vera(
      PeftTensors tensors, int layer, ModuleNames.Module names, String name, boolean covered) {
    String path = tensors.inLayer(layer, names.path());
    Optional<Pair> vectors = tensors.takePair(path, Role.VERA_D, Role.VERA_B);
    if (vectors.isEmpty()) {
      return false;
    }
    Named d = vectors.get().a();
    Named b = vectors.get().b();
    requireTargeted(covered, d, name);
    Named sharedA = shared(tensors, Role.VERA_SHARED_A, "vera_A");
    Named sharedB = shared(tensors, Role.VERA_SHARED_B, "vera_B");
    int in =
        shape
            .map(s -> s.inFeatures(names.parts().getFirst()))
            .orElseGet(() -> width(sharedA, 1, 1));
    int out = shape.map(s -> s.outFeatures(names)).orElseGet(() -> length(b));
    int rank = config.rank();
    requireLength(d, rank);
    requireLength(b, out);
    requireAtLeast(sharedA, rank, in, 1);
    requireAtLeast(sharedB, rank, out, 0);
    Stored a = stored(sharedA).withStride(width(sharedA, 1, 1)).times(stored(d));
    for (Part part : parts(layer, names, out)) {
      Stored ofOutput =
          stored(sharedB).behind((long) part.first() * rank).times(stored(b).behind(part.first()));
      add(
          TargetSpec.builder(part.target())
              .rank(rank)
              .inFeatures(in)
              .outFeatures(part.rows())
              .scaling(1)
              .type(ElementType.F32)
              .build(),
          a,
          ofOutput);
    }
    return true;
  }

  private Named shared(PeftTensors tensors, Role role, String name) {
    return tensors
        .find("base_model", role)
        .orElseThrow(
            () ->
                Faults.ADAPTER.refuse(
                    file,
                    SafetensorsHeader.tensor("base_model." + name) + ": expected it, found none"));
  }

  void requireLength(Named tensor, int expected) {
    if (length(tensor) != expected) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected shape ["
              + expected
              + "], found "
              + tensor.entry().shape());
    }
  }

  private void requireAtLeast(Named tensor, int rank, int features, int dimension) {
    int found = width(tensor, dimension, 1);
    if (width(tensor, 1 - dimension, 1) != rank || found < features) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected rank "
              + rank
              + " and at least "
              + features
              + " features, found shape "
              + tensor.entry().shape());
    }
  }

  /**
   * Adds a module of IA3. What multiplies the input of a gated MLP's down-projection multiplies the
   * output of its up-projection as well.
   */
  boolean ia3(
      PeftTensors tensors, int layer, ModuleNames.Module names, String name, boolean covered) {
    Optional<Named> found = tensors.take(tensors.inLayer(layer, names.path()), Role.IA3);
    if (found.isEmpty()) {
      return false;
    }
    requireTargeted(covered, found.get(), name);
    if (!config.isFeedforward(name)) {
      vector(layer, names, PartSpec.Kind.SCALE, found.get());
      return true;
    }
    ModuleNames modules = shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
    Optional<ModuleNames.Module> up = modules.of(Projection.UP);
    if (!names.parts().equals(List.of(Projection.DOWN))
        || up.isEmpty()
        || modules.of(Projection.GATE).isEmpty()) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(),
          "feedforward_modules: a vector that the input of "
              + name
              + " is multiplied by is supported for the down-projection of a gated MLP only");
    }
    int in = shape.map(s -> s.inFeatures(Projection.DOWN)).orElseGet(() -> length(found.get()));
    requireLength(found.get(), in);
    parts.add(
        new PlacedPart(
            PartSpec.vector(TargetModule.of(layer, Projection.UP), PartSpec.Kind.SCALE, in),
            stored(found.get())));
    return true;
  }

  private void requireTargeted(boolean covered, Named tensor, String name) {
    if (!covered) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected no tensor of "
              + name
              + ", which "
              + PeftAdapterFile.CONFIG
              + " leaves out");
    }
  }

  Stored stored(Named tensor) {
    return Stored.dense(tensor.entry().begin(), type(tensor));
  }

  private void checkMagnitude(String name, Optional<Named> found, int out) {
    if (found.isEmpty() && config.dora()) {
      throw Faults.ADAPTER.refuse(
          config.file(),
          PeftFeatures.DORA
              + ": expected tensor "
              + name
              + ".lora_magnitude_vector in "
              + PeftAdapterFile.WEIGHTS
              + ", found none");
    }
    if (found.isPresent() && !config.dora()) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(found.get().name())
              + ": expected no magnitude, as use_dora is false, found one");
    }
    found.ifPresent(tensor -> requireLength(tensor, out));
  }

  private void checkBlocks(String name, String factor, int blocks, int width, int rank) {
    if (width % blocks != 0 || rank % blocks != 0) {
      throw Faults.ADAPTER.refuse(
          config.file(),
          "use_bdlora.nblocks: expected a number that divides "
              + width
              + " features and rank "
              + rank
              + " of "
              + factor
              + " of "
              + name
              + ", found "
              + blocks);
    }
  }

  void checkShape(Named tensor, long rows, long columns, String meaning, int blocks) {
    var expected = List.of(rows, columns);
    if (!tensor.entry().shape().equals(expected)) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected shape "
              + expected
              + " as "
              + PeftAdapterFile.CONFIG
              + " has it, "
              + meaning
              + (blocks == 1 ? "" : " in " + blocks + " diagonal blocks")
              + ", found "
              + tensor.entry().shape());
    }
  }

  /** Returns how many elements a vector has, whatever dimensions of one it is written with. */
  private int length(Named tensor) {
    List<Long> stored = tensor.entry().shape();
    long length = stored.stream().mapToLong(Long::longValue).max().orElse(0);
    boolean isVector = stored.size() <= 2 && stored.stream().filter(n -> n != 1).count() <= 1;
    if (!isVector || length < 1 || length > MAX_FEATURES) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected a vector of up to "
              + MAX_FEATURES
              + " features, found shape "
              + stored);
    }
    return (int) length;
  }

  /** Returns how many features a factor says that its module has. */
  int width(Named tensor, int dimension, int blocks) {
    List<Long> stored = tensor.entry().shape();
    if (stored.size() != 2
        || stored.get(dimension) < 1
        || stored.get(dimension) > MAX_FEATURES / blocks) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected two dimensions and up to "
              + MAX_FEATURES
              + " features, found shape "
              + stored);
    }
    return stored.get(dimension).intValue() * blocks;
  }

  private ElementType type(Named tensor) {
    StoredType type = tensor.entry().type();
    String where = file + ": " + SafetensorsHeader.tensor(tensor.name()) + ": dtype";
    return switch (type) {
      case F32 -> ElementType.F32;
      case F16 -> ElementType.F16;
      case BF16 -> ElementType.BF16;
      case F64, F8_E4M3, F8_E5M2 ->
          throw Faults.ADAPTER.unsupported(where, "F32, F16 or BF16", type);
      default -> throw Faults.ADAPTER.invalid(where, "F32, F16 or BF16", type);
    };
  }
}
