package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.peft.PeftTensors.Named;
import dev.lorikeet.files.peft.PeftTensors.Pair;
import dev.lorikeet.files.peft.PeftTensors.Role;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Reads what MLX writes: {@code lora_a} is {@code [in, rank]} and {@code lora_b} {@code [rank,
 * out]}, each the other way round than PEFT's, and the scaling stands in the configuration as it
 * is. Its DoRA is PEFT's, with the magnitude called {@code m}.
 *
 * @param configFile the configuration, for messages
 * @param file the file of the tensors, likewise
 * @param shape the sizes of the base model, or empty to take any
 */
record MlxChecker(Path configFile, Path file, Optional<ModelShape> shape) {
  /** Returns the plan of an adapter. */
  AdapterPlan check(ByteBuffer config, PeftTensors tensors) {
    JsonNode root = JsonFile.parse(Faults.ADAPTER, configFile.toString(), config).root();
    String type = root.path("fine_tune_type").asText("lora");
    if (!type.equals("lora") && !type.equals("dora")) {
      throw Faults.ADAPTER.refuseUnsupported(
          configFile, "fine_tune_type: expected lora or dora, found '" + Faults.show(type) + "'");
    }
    JsonNode scale = root.path("lora_parameters").path("scale");
    if (!scale.isNumber() || !Float.isFinite(scale.floatValue()) || scale.floatValue() == 0) {
      throw Faults.ADAPTER.refuse(
          configFile,
          "lora_parameters.scale: expected a finite number that is not 0, found "
              + PeftFeatures.describe(scale));
    }
    PeftPlacing placing = new PeftPlacing(file, PeftConfig.plain(configFile), shape);
    ModuleNames modules = shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
    int layers = shape.map(ModelShape::layers).orElseGet(tensors::layers);
    for (TargetModule outside : List.of(TargetModule.embedding(), TargetModule.output())) {
      boolean isEmbedding = outside.projection() == Projection.EMBED;
      String name = tensors.ofModel(isEmbedding ? modules.embedding() : modules.output());
      tensors
          .takePair(name, Role.MLX_A, Role.MLX_B)
          .ifPresent(
              pair -> place(placing, List.of(outside), pair, Optional.empty(), scale.floatValue()));
    }
    for (int layer = 0; layer < layers; layer++) {
      for (ModuleNames.Module module : modules.modules()) {
        String path = tensors.inLayer(layer, module.path());
        Optional<Pair> pair = tensors.takePair(path, Role.MLX_A, Role.MLX_B);
        Optional<Named> magnitude = tensors.take(path, Role.MLX_M);
        int of = layer;
        List<TargetModule> targets =
            module.parts().stream().map(p -> TargetModule.of(of, p)).toList();
        pair.ifPresent(p -> place(placing, targets, p, magnitude, scale.floatValue()));
      }
    }
    tensors.refuseRest(layers, module -> false);
    AdapterPlan plan = placing.plan();
    if (plan.placed().isEmpty()) {
      throw Faults.ADAPTER.refuse(file, "expected lora_a and lora_b of modules of the base model");
    }
    return plan;
  }

  private void place(
      PeftPlacing placing,
      List<TargetModule> targets,
      Pair pair,
      Optional<Named> magnitude,
      float scale) {
    Projection first = targets.getFirst().projection();
    int rank = placing.width(pair.a(), 1, 1);
    int in = shape.map(s -> s.inFeatures(first)).orElseGet(() -> placing.width(pair.a(), 0, 1));
    int out =
        shape
            .map(s -> targets.stream().mapToInt(t -> s.outFeatures(t.projection())).sum())
            .orElseGet(() -> placing.width(pair.b(), 1, 1));
    if (rank > AdapterPlan.MAX_RANK) {
      throw Faults.ADAPTER.refuse(
          file,
          SafetensorsHeader.tensor(pair.a().name())
              + ": expected a rank of at most "
              + AdapterPlan.MAX_RANK
              + ", found "
              + rank);
    }
    placing.checkShape(pair.a(), in, rank, "[in, rank]", 1);
    placing.checkShape(pair.b(), rank, out, "[rank, out]", 1);
    magnitude.ifPresent(named -> placing.requireLength(named, out));
    Stored a = placing.stored(pair.a());
    Stored b = placing.stored(pair.b()).withStride(out);
    int row = 0;
    for (TargetModule target : targets) {
      int rows = targets.size() == 1 ? out : shape.orElseThrow().outFeatures(target.projection());
      int before = row;
      placing.add(
          new Placed(
              TargetSpec.builder(target)
                  .rank(rank)
                  .inFeatures(in)
                  .outFeatures(rows)
                  .scaling(scale)
                  .type(PeftPlacing.typeOf(a, b))
                  .magnitude(magnitude.isPresent())
                  .build(),
              a,
              b.behind(row),
              magnitude.map(placing::stored).map(stored -> stored.behind(before))));
      row += rows;
    }
  }
}
