package dev.lorikeet.training.pipeline;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainableModelProvider;
import dev.lorikeet.training.stage.TrainingStage;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/** Opens the stage that a member is told to be. */
public interface StageOpener {
  /**
   * A stage, and what is to be closed when it is not used any more.
   *
   * @param stage what computes
   * @param owned all that was opened for it, the stage included
   */
  record Opened(TrainingStage stage, AutoCloseable owned) {}

  /**
   * Opens it.
   *
   * @throws LorikeetException if the model can't be opened, or is another
   */
  Opened open(Assignment assignment);

  /**
   * Returns an opener of parts of a model directory.
   *
   * @param provider opens it
   * @param model where it is here; empty for where the coordinator has it
   * @param options of the provider
   */
  static StageOpener of(
      TrainableModelProvider provider, Optional<Path> model, Map<String, String> options) {
    return mine -> {
      Path directory = model.orElse(mine.model());
      TrainableModel opened =
          provider.open(directory, shape -> mine.span(), mine.maxTokens(), options);
      if (opened.weightBytes() != mine.modelBytes()) {
        long found = opened.weightBytes();
        opened.close();
        throw new LorikeetException(
            Code.MODEL_INVALID,
            directory
                + ": expected the coordinator's model, with weights of "
                + mine.modelBytes()
                + " bytes, found "
                + found);
      }
      return new Opened(opened.stage(), opened);
    };
  }
}
