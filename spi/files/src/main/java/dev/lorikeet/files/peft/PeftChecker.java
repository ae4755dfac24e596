package dev.lorikeet.files.peft;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.peft.PeftTensors.Named;
import dev.lorikeet.files.peft.PeftTensors.Pair;
import dev.lorikeet.files.peft.PeftTensors.Role;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Compares what the configuration asks for with the tensors that are there and with the base model,
 * where one is given; else the tensors tell the sizes. Asks for the tensors of each module of the
 * model in turn; those that are left are refused.
 *
 * @param file the file of the tensors, for messages
 * @param config the configuration
 * @param shape the sizes of the base model, or empty to take any
 * @param strict whether every module that the configuration covers must have tensors; else those
 *     without stay as the base model has them, which a warning tells
 */
record PeftChecker(Path file, PeftConfig config, Optional<ModelShape> shape, boolean strict) {
  private static final System.Logger LOG = System.getLogger(PeftChecker.class.getName());

  AdapterPlan check(PeftTensors tensors) {
    PeftPlacing placing = new PeftPlacing(file, config, shape);
    List<String> missing = new ArrayList<>();
    ModuleNames modules = shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
    int layers = shape.map(ModelShape::layers).orElseGet(tensors::layers);
    outside(tensors, placing, TargetModule.embedding(), modules.embedding(), missing);
    outside(tensors, placing, TargetModule.output(), modules.output(), missing);
    for (int layer = 0; layer < layers; layer++) {
      for (ModuleNames.Module module : modules.modules()) {
        ofLayer(tensors, placing, layer, module, missing);
      }
      if (modules.experts().isPresent() && config.method() == PeftConfig.Method.LORA) {
        new PeftExperts(file, config, shape.orElseThrow(), modules.experts().get())
            .place(tensors, placing, layer);
      }
    }
    tensors.take("base_model", Role.VERA_SHARED_A);
    tensors.take("base_model", Role.VERA_SHARED_B);
    tensors.refuseRest(layers, config.beside()::saves);
    AdapterPlan plan = placing.plan();
    if (plan.placed().isEmpty() && plan.placedParts().isEmpty()) {
      throw Faults.ADAPTER.refuse(
          config.file(), "target_modules: expected at least one module of the base model");
    }
    warnOf(missing, plan.placed().size());
    return plan;
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

  private void ofLayer(
      PeftTensors tensors,
      PeftPlacing placing,
      int layer,
      ModuleNames.Module module,
      List<String> missing) {
    String path = tensors.inLayer(layer, module.path());
    String name = tensors.layersPrefix() + layer + "." + module.path();
    boolean covered = config.covers(name, tensors.layersPrefix(), layer);
    boolean found =
        switch (config.method()) {
          case LORA -> factors(tensors, placing, layer, module, covered);
          case VERA -> placing.vera(tensors, layer, module, name, covered);
          case IA3 -> placing.ia3(tensors, layer, module, name, covered);
        };
    tensors
        .take(path, Role.BIAS)
        .ifPresent(bias -> placing.vector(layer, module, PartSpec.Kind.BIAS, bias));
    if (!found && covered && strict) {
      throw tensors.missing(path);
    } else if (!found && covered) {
      missing.add(name);
    }
  }

  private boolean factors(
      PeftTensors tensors,
      PeftPlacing placing,
      int layer,
      ModuleNames.Module module,
      boolean covered) {
    String path = tensors.inLayer(layer, module.path());
    String name = tensors.layersPrefix() + layer + "." + module.path();
    Optional<Pair> pair = tensors.takePair(path, Role.A, Role.B);
    Optional<Named> magnitude = tensors.take(path, Role.MAGNITUDE);
    if (pair.isEmpty()) {
      magnitude.ifPresent(
          named -> {
            throw Faults.ADAPTER.refuse(
                file, SafetensorsHeader.tensor(named.name()) + ": expected its lora_A, found none");
          });
      return false;
    }
    requireCovered(covered, pair.get().a(), name);
    placing.factors(layer, module, name, pair.get(), magnitude);
    tensors
        .take(path, Role.B_BIAS)
        .ifPresent(bias -> placing.vector(layer, module, PartSpec.Kind.SHIFT, bias));
    return true;
  }

  private void requireCovered(boolean covered, Named tensor, String name) {
    if (!covered) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(tensor.name())
              + ": expected no tensor of "
              + name
              + ", which target_modules, exclude_modules and layers_to_transform of "
              + PeftAdapterFile.CONFIG
              + " leave out");
    }
  }

  /** The embeddings and the output layer: factors, a matrix trained in full or copied, rows. */
  private void outside(
      PeftTensors tensors,
      PeftPlacing placing,
      TargetModule target,
      String name,
      List<String> missing) {
    String module = tensors.ofModel(name);
    boolean isEmbedding = target.projection() == Projection.EMBED;
    boolean covered = config.method() == PeftConfig.Method.LORA && config.coversOutside(name);
    Optional<Pair> pair =
        isEmbedding
            ? tensors.takePair(module, Role.EMBEDDING_A, Role.EMBEDDING_B)
            : tensors.takePair(module, Role.A, Role.B);
    if (pair.isPresent()) {
      requireCovered(covered, pair.get().a(), name);
      placing.outside(target, name, pair.get());
    } else if (covered) {
      if (strict) {
        throw tensors.missing(module);
      }
      missing.add(name);
    }
    Optional<Named> weight =
        tensors.take(module, Role.SAVED).or(() -> tensors.take(module, Role.WEIGHT));
    Optional<Named> rows = tensors.take(module, Role.TOKENS);
    if (weight.isPresent() && rows.isPresent()) {
      throw Faults.ADAPTER.refuseUnsupported(
          file,
          SafetensorsHeader.tensor(rows.get().name())
              + ": single rows beside the whole matrix are not supported");
    }
    weight.ifPresent(matrix -> placing.matrix(target, matrix));
    rows.ifPresent(
        found ->
            placing.rows(
                target,
                found,
                config
                    .beside()
                    .tokensOf(name)
                    .orElseThrow(
                        () ->
                            Faults.ADAPTER.refuse(
                                file,
                                SafetensorsHeader.tensor(found.name())
                                    + ": expected its token ids in trainable_token_indices of "
                                    + PeftAdapterFile.CONFIG
                                    + ", found none"))));
  }
}
