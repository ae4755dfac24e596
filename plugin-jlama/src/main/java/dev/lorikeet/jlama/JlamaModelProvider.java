package dev.lorikeet.jlama;

import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.HostedModel;
import dev.lorikeet.host.serving.Limits;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.jlama.decoder.Decoder;
import dev.lorikeet.jlama.decoder.KernelReadiness;
import dev.lorikeet.jlama.hub.ModelFolders;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.warmup.WarmUp;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.jlama.weights.ServedWeights;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.shape.ModelInfo;
import java.nio.file.Path;

/**
 * Opens Hugging Face model directories, or models that are here by the name {@code owner/name}, of
 * the families that {@link Families} knows. The module's README describes the options.
 */
public final class JlamaModelProvider implements BaseModelProvider {
  /** For {@link java.util.ServiceLoader}. */
  public JlamaModelProvider() {}

  @Override
  public String name() {
    return "jlama";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return Availability.available(Families.modelTypes());
  }

  @Override
  public ModelInfo describe(Path path) {
    Path directory = ModelFolders.ofEnvironment().modelDirectory(path);
    Architecture architecture = Families.read(directory);
    try (ModelWeights weights = ModelWeights.open(directory, architecture)) {
      return architecture.info(directory, weights.storage());
    }
  }

  @Override
  public BaseModel open(ModelConfig asked) {
    ModelOptions options = ModelOptions.parse(asked.options());
    if (!asked.pool().device().isHost()) {
      throw new IllegalArgumentException(
          ModelOptions.OWNER
              + ": expected a page pool in host memory, where it keeps keys and values, found one on "
              + asked.pool().device());
    }
    ModelConfig config =
        asked.withDirectory(ModelFolders.ofEnvironment().modelDirectory(asked.directory()));
    Architecture read = Families.read(config.directory());
    Architecture architecture = options.longContext() ? read.longContext() : read;
    try (HostedModel.Opening opening = HostedModel.opening(config, options.serving())) {
      ModelWeights weights =
          opening.owns(
              ModelWeights.open(config.directory(), architecture, options.copiedWeights()));
      KernelReadiness readiness =
          options.warmUp()
              ? WarmUp.begin(architecture, weights.storage(), options.kvType())
              : KernelReadiness.READY;
      WorkerTeam team =
          opening.owns(
              new WorkerTeam(
                  "lorikeet-worker",
                  WorkerTeam.withinProcessors(ModelOptions.OWNER, options.threads())));
      LoraExecutor executor = opening.owns(config.executor().apply(team));
      if (options.switching() == Switching.MERGE && !Decoder.canMerge(weights, executor)) {
        throw new IllegalArgumentException(
            ModelOptions.OWNER
                + ": option 'switching': expected delta or auto, since the executor does not merge into "
                + weights.storage()
                + " weights, found 'merge'");
      }
      Limits limits = options.serving().limits();
      Decoder decoder =
          opening.owns(
              new Decoder(
                  architecture,
                  weights,
                  new Decoder.Resources(config.pool(), team, executor),
                  new Decoder.Settings(
                      limits.batchTokens(), limits.logits(), options.kvType(), options.switching()),
                  readiness));
      ModelInfo info = architecture.info(config.directory(), weights.storage());
      opening.offers(
          ServedWeights.class, new ServedWeights(architecture, weights, info, opening.turns()));
      return opening.open(info, decoder);
    }
  }
}
