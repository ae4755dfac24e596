package dev.lorikeet.arrow;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
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
 */
record PeftChecker(Path file, PeftConfig config, Optional<ModelShape> shape) {
  private static final int MAX_FEATURES = Integer.MAX_VALUE / 8;

  PeftPlan check(PeftTensors tensors) {
    List<PeftPlan.Placed> placed = new ArrayList<>();
    int layers = shape.map(ModelShape::layers).orElseGet(tensors::layers);
    for (int layer = 0; layer < layers; layer++) {
      for (Projection projection : Projection.all()) {
        var target = new TargetModule(layer, projection);
        String name = tensors.layersPrefix() + layer + "." + projection.path();
        boolean covered = config.covers(name, tensors.layersPrefix(), layer);
        Optional<PeftTensors.Pair> pair = tensors.pair(target);
        if (covered) {
          placed.add(placed(target, name, pair.orElseThrow(() -> tensors.missing(target))));
        } else if (pair.isPresent()) {
          throw Refusal.invalid(
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
              throw Refusal.invalid(
                  file,
                  SafetensorsHeader.tensor(name)
                      + ": expected layers 0 to "
                      + (layers - 1)
                      + " of the base model");
            });
    if (placed.isEmpty()) {
      throw Refusal.invalid(
          config.file(), "target_modules: expected at least one module of the base model");
    }
    return PeftPlan.of(placed);
  }

  private PeftPlan.Placed placed(TargetModule target, String name, PeftTensors.Pair pair) {
    PeftConfig.Module module = config.module(name);
    int in =
        shape
            .map(s -> s.inFeatures(target.projection()))
            .orElseGet(() -> width(pair.a(), 1, module.aBlocks()));
    int out =
        shape.map(s -> s.outFeatures(target.projection())).orElseGet(() -> width(pair.b(), 0, 1));
    checkBlocks(name, "A", module.aBlocks(), in, module.rank());
    checkBlocks(name, "B", module.bBlocks(), out, module.rank());
    checkShape(pair.a(), module.rank(), in / module.aBlocks(), "[rank, in]", module.aBlocks());
    checkShape(pair.b(), out, module.rank() / module.bBlocks(), "[out, rank]", module.bBlocks());
    ElementType type = type(pair.a());
    if (type != type(pair.b())) {
      throw Refusal.unsupported(
          file,
          SafetensorsHeader.tensor(pair.b().name())
              + ": dtype: expected "
              + type
              + " as of lora_A, found "
              + type(pair.b())
              + ": mixed types are not supported");
    }
    var spec =
        TargetSpec.builder(target)
            .rank(module.rank())
            .inFeatures(in)
            .outFeatures(out)
            .scaling(module.scaling())
            .aBlocks(module.aBlocks())
            .bBlocks(module.bBlocks())
            .type(type)
            .build();
    return new PeftPlan.Placed(spec, pair.a().entry().begin(), pair.b().entry().begin());
  }

  private void checkBlocks(String name, String factor, int blocks, int width, int rank) {
    if (width % blocks != 0 || rank % blocks != 0) {
      throw Refusal.invalid(
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
      throw Refusal.invalid(
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
      throw Refusal.invalid(
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
    String type = tensor.entry().type();
    return switch (type) {
      case "F32" -> ElementType.F32;
      case "F16" -> ElementType.F16;
      case "BF16" -> ElementType.BF16;
      case "F64", "F8_E4M3", "F8_E5M2" ->
          throw Refusal.unsupported(file, dtype(tensor, type) + ", which is not supported");
      default -> throw Refusal.invalid(file, dtype(tensor, type));
    };
  }

  private static String dtype(PeftTensors.Named tensor, String found) {
    return SafetensorsHeader.tensor(tensor.name())
        + ": dtype: expected F32, F16 or BF16, found "
        + found;
  }
}
