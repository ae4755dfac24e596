package dev.lorikeet.files.peft;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Compares what the configuration asks for with the tensors that are there and with the base model,
 * where one is given; else the tensors tell the sizes.
 *
 * @param file the file of the tensors, for messages
 * @param config the configuration
 * @param shape the sizes of the base model, or empty to take any
 * @param strict whether every module that the configuration covers must have tensors; else those
 *     without stay as the base model has them, which a warning tells
 */
record PeftChecker(Path file, PeftConfig config, Optional<ModelShape> shape, boolean strict) {
  private static final System.Logger LOG = System.getLogger(PeftChecker.class.getName());
  private static final int MAX_FEATURES = Integer.MAX_VALUE / 8;

  AdapterPlan check(PeftTensors tensors) {
    List<AdapterPlan.Placed> placed = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    ModuleNames modules = shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
    int layers = shape.map(ModelShape::layers).orElseGet(tensors::layers);
    for (int layer = 0; layer < layers; layer++) {
      for (ModuleNames.Module module : modules.modules()) {
        String name = tensors.layersPrefix() + layer + "." + module.path();
        boolean covered = config.covers(name, tensors.layersPrefix(), layer);
        Optional<PeftTensors.Pair> pair = tensors.pair(layer, module);
        if (covered && pair.isPresent()) {
          place(layer, module, name, pair.get(), placed);
        } else if (covered && strict) {
          throw tensors.missing(layer, module);
        } else if (covered) {
          missing.add(name);
        } else if (pair.isPresent()) {
          throw Faults.ADAPTER.refuse(
              file,
              SafetensorsHeader.tensor(pair.get().anyName())
                  + ": expected no tensor of "
                  + name
                  + ", which target_modules, exclude_modules and layers_to_transform of "
                  + PeftAdapterFile.CONFIG
                  + " leave out");
        }
      }
    }
    tensors
        .layerBeyond(layers)
        .ifPresent(
            name -> {
              throw Faults.ADAPTER.refuse(
                  file,
                  SafetensorsHeader.tensor(name)
                      + ": expected layers 0 to "
                      + (layers - 1)
                      + " of the base model");
            });
    if (placed.isEmpty()) {
      throw Faults.ADAPTER.refuse(
          config.file(), "target_modules: expected at least one module of the base model");
    }
    warnOf(missing, placed.size());
    return AdapterPlan.of(placed);
  }

  private void warnOf(List<String> missing, int found) {
    if (!missing.isEmpty()) {
      LOG.log(
          Level.WARNING,
          "{0}: {1} of {2} modules that target_modules covers have no weights and stay as the base"
              + " model has them: {3}",
          file,
          String.valueOf(missing.size()),
          String.valueOf(missing.size() + found),
          Faults.show(String.join(", ", missing)));
    }
  }

  /** Adds a module's target modules: as many as it holds projections, each with all of A. */
  private void place(
      int layer,
      ModuleNames.Module names,
      String name,
      PeftTensors.Pair pair,
      List<AdapterPlan.Placed> placed) {
    PeftConfig.Module module = config.module(name);
    int in =
        shape
            .map(s -> s.inFeatures(names.parts().getFirst()))
            .orElseGet(() -> width(pair.a(), 1, module.aBlocks()));
    int out = shape.map(s -> s.outFeatures(names)).orElseGet(() -> width(pair.b(), 0, 1));
    checkBlocks(name, "A", module.aBlocks(), in, module.rank());
    checkBlocks(name, "B", module.bBlocks(), out, module.rank());
    if (names.parts().size() > 1 && module.bBlocks() > 1) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(),
          "use_bdlora.target_modules_bd_b: a block-diagonal B of "
              + name
              + ", which holds several projections, is not supported");
    }
    checkShape(pair.a(), module.rank(), in / module.aBlocks(), "[rank, in]", module.aBlocks());
    checkShape(pair.b(), out, module.rank() / module.bBlocks(), "[out, rank]", module.bBlocks());
    checkMagnitude(name, pair.magnitude(), out);
    Stored a = stored(pair.a());
    Stored b = stored(pair.b());
    Optional<Stored> magnitude = pair.magnitude().map(this::stored);
    ElementType type =
        a.type() == b.type() && magnitude.stream().allMatch(m -> m.type() == a.type())
            ? a.type()
            : ElementType.F32; // the one that holds the values of all
    long row = 0;
    for (Projection projection : names.parts()) {
      int rows = names.parts().size() == 1 ? out : shape.orElseThrow().outFeatures(projection);
      var spec =
          TargetSpec.builder(TargetModule.of(layer, projection))
              .rank(module.rank())
              .inFeatures(in)
              .outFeatures(rows)
              .scaling(module.scaling())
              .aBlocks(module.aBlocks())
              .bBlocks(module.bBlocks())
              .type(type)
              .magnitude(config.dora())
              .build();
      long before = row;
      placed.add(
          new AdapterPlan.Placed(
              spec,
              a,
              behind(b, before * module.rank()),
              magnitude.map(stored -> behind(stored, before))));
      row += rows;
    }
  }

  private Stored stored(PeftTensors.Named tensor) {
    return new Stored(tensor.entry().begin(), type(tensor));
  }

  private static Stored behind(Stored stored, long elements) {
    return new Stored(stored.begin() + elements * stored.type().bytes(), stored.type());
  }

  private void checkMagnitude(String name, Optional<PeftTensors.Named> found, int out) {
    if (found.isEmpty() && config.dora()) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(name + "." + PeftFeatures.MAGNITUDE)
              + ": expected it, as use_dora is true, found none");
    }
    if (found.isEmpty()) {
      return;
    }
    String tensor = SafetensorsHeader.tensor(found.get().name());
    if (!config.dora()) {
      throw Faults.ADAPTER.refuse(
          file, tensor + ": expected no magnitude, as use_dora is false, found one");
    }
    List<Long> shape = List.of((long) out);
    if (!found.get().entry().shape().equals(shape)) {
      throw Faults.ADAPTER.refuse(
          file, tensor + ": expected shape " + shape + ", found " + found.get().entry().shape());
    }
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

  private void checkShape(
      PeftTensors.Named tensor, long rows, long columns, String meaning, int blocks) {
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

  /** Returns how many features a factor says that its module has. */
  private int width(PeftTensors.Named tensor, int dimension, int blocks) {
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

  private ElementType type(PeftTensors.Named tensor) {
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
