package dev.lorikeet.files.peft;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.peft.PeftTensors.Pair;
import dev.lorikeet.files.peft.PeftTensors.Role;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The factors of a layer's experts and of their router. Experts come one by one, as modules of
 * their own, or all in two parameters (PEFT's {@code target_parameters}): of {@code gate_up_proj}
 * and {@code down_proj}, A {@code [experts * rank, in]}, the rows of an expert one after the other,
 * and B {@code [out, rank * experts]}, the columns of an expert every so many.
 *
 * @param file the file of the tensors, for messages
 * @param config the configuration
 * @param shape the sizes of the base model
 * @param names what experts are called
 */
record PeftExperts(Path file, PeftConfig config, ModelShape shape, ModuleNames.Experts names) {
  private static final String GATE_UP_PROJ = "gate_up_proj";
  private static final String DOWN_PROJ = "down_proj";

  /** Takes what the adapter has of a layer's experts. */
  void place(PeftTensors tensors, PeftPlacing placing, int layer) {
    for (String router : names.routers()) {
      tensors
          .takePair(tensors.inLayer(layer, router), Role.A, Role.B)
          .ifPresent(pair -> router(tensors, placing, layer, router, pair));
    }
    for (String path : names.paths()) {
      String all = path.substring(0, path.length() - 1);
      for (String module : List.of(all + ".base_layer", all)) {
        tensors
            .takePair(tensors.inLayer(layer, module), Role.A, Role.B)
            .ifPresent(pair -> parameter(tensors, placing, layer, all, pair));
      }
      for (int expert = 0; expert < names.count(); expert++) {
        for (Map.Entry<Projection, List<String>> entry : names.names().entrySet()) {
          for (String name : entry.getValue()) {
            String module = path + expert + "." + name;
            TargetModule target = TargetModule.ofExpert(layer, entry.getKey(), expert);
            tensors
                .takePair(tensors.inLayer(layer, module), Role.A, Role.B)
                .ifPresent(pair -> module(tensors, placing, target, module, pair));
          }
        }
      }
    }
  }

  private void router(PeftTensors tensors, PeftPlacing placing, int layer, String path, Pair pair) {
    String name = tensors.layersPrefix() + layer + "." + path;
    String parameter = name + ".weight";
    boolean isParameter = config.beside().hasParameter(parameter);
    require(isParameter || config.covers(name, tensors.layersPrefix(), layer), pair, name);
    add(
        placing,
        TargetModule.of(layer, Projection.ROUTER),
        config.module(isParameter ? parameter : name),
        pair);
  }

  private void module(
      PeftTensors tensors, PeftPlacing placing, TargetModule target, String path, Pair pair) {
    String name = tensors.layersPrefix() + target.layer() + "." + path;
    require(config.covers(name, tensors.layersPrefix(), target.layer()), pair, name);
    add(placing, target, config.module(name), pair);
  }

  private void add(PeftPlacing placing, TargetModule target, PeftConfig.Module module, Pair pair) {
    int in = shape.inFeatures(target.projection());
    int out = shape.outFeatures(target.projection());
    requirePlain(module, target.moduleName());
    placing.checkShape(pair.a(), module.rank(), in, "[rank, in]", 1);
    placing.checkShape(pair.b(), out, module.rank(), "[out, rank]", 1);
    Stored a = placing.stored(pair.a());
    Stored b = placing.stored(pair.b());
    placing.add(spec(target, module, in, out, a, b), a, b);
  }

  private static TargetSpec spec(
      TargetModule target, PeftConfig.Module module, int in, int out, Stored a, Stored b) {
    return TargetSpec.builder(target)
        .rank(module.rank())
        .inFeatures(in)
        .outFeatures(out)
        .scaling(module.scaling())
        .type(PeftPlacing.typeOf(a, b))
        .build();
  }

  /** The one that holds gate and up has twice the experts' width for its outputs. */
  private void parameter(
      PeftTensors tensors, PeftPlacing placing, int layer, String path, Pair pair) {
    int in = placing.width(pair.a(), 1, 1);
    boolean isDown = in != shape.hidden() || placing.width(pair.b(), 0, 1) == shape.hidden();
    String name =
        tensors.layersPrefix() + layer + "." + path + "." + (isDown ? DOWN_PROJ : GATE_UP_PROJ);
    require(config.beside().hasParameter(name), pair, name);
    PeftConfig.Module module = config.module(name);
    requirePlain(module, name);
    int width = shape.intermediate();
    long ranks = (long) names.count() * module.rank();
    placing.checkShape(pair.a(), ranks, isDown ? width : shape.hidden(), "[experts * rank, in]", 1);
    placing.checkShape(
        pair.b(), isDown ? shape.hidden() : 2L * width, ranks, "[out, rank * experts]", 1);
    Stored a = placing.stored(pair.a());
    Stored b = placing.stored(pair.b());
    for (int expert = 0; expert < names.count(); expert++) {
      Stored ofA = a.behind((long) expert * module.rank() * in);
      Stored ofB = b.every(names.count(), expert);
      if (isDown) {
        TargetModule down = TargetModule.ofExpert(layer, Projection.DOWN, expert);
        placing.add(spec(down, module, width, shape.hidden(), a, b), ofA, ofB);
      } else {
        TargetModule gate = TargetModule.ofExpert(layer, Projection.GATE, expert);
        placing.add(spec(gate, module, shape.hidden(), width, a, b), ofA, ofB);
        TargetModule up = TargetModule.ofExpert(layer, Projection.UP, expert);
        Stored ofUp = b.behind(width * ranks).every(names.count(), expert);
        placing.add(spec(up, module, shape.hidden(), width, a, b), ofA, ofUp);
      }
    }
  }

  private void require(boolean covered, Pair pair, String name) {
    if (!covered) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(pair.a().name())
              + ": expected no tensor of "
              + name
              + ", which target_modules and target_parameters of "
              + PeftAdapterFile.CONFIG
              + " leave out");
    }
  }

  private void requirePlain(PeftConfig.Module module, String name) {
    Optional<String> feature =
        config.dora()
            ? Optional.of(PeftFeatures.DORA)
            : module.aBlocks() > 1 || module.bBlocks() > 1
                ? Optional.of("use_bdlora")
                : Optional.empty();
    if (feature.isPresent()) {
      throw Faults.ADAPTER.refuseUnsupported(
          config.file(),
          feature.get() + ": it is not supported for " + name + ", which has plain LoRA only");
    }
  }
}
