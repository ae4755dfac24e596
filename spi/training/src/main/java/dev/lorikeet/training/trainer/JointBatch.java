package dev.lorikeet.training.trainer;

import dev.lorikeet.training.learning.LearningGate.Routing;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.TokenMixture;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What several tasks compute together.
 *
 * @param parts of the tasks, at most one of each
 * @param batch all of them, in their order
 * @param routings by task, of those that mix experts
 */
record JointBatch(List<Part> parts, MicroBatch batch, Map<Integer, Routing> routings) {
  /**
   * A task's part of a micro-batch.
   *
   * @param firstSequence how many sequences of the task's step are before it
   * @param completes whether it is the last of the task's step
   */
  record Part(TaskRun run, Chunk chunk, int firstSequence, boolean completes) {}

  /** Packs the parts, without what their tasks leave out. */
  static JointBatch of(List<Part> parts) {
    MicroBatch.Builder builder = MicroBatch.builder();
    for (Part part : parts) {
      part.chunk()
          .addTo(builder, part.run().number(), s -> part.run().dropout(part.firstSequence() + s));
    }
    MicroBatch batch = builder.build();
    Map<Integer, Routing> routings = new HashMap<>();
    for (Part part : parts) {
      part.run().route(batch).ifPresent(routing -> routings.put(part.run().number(), routing));
    }
    return new JointBatch(parts, mixed(batch, routings), routings);
  }

  /** Packs a chunk alone and whole, to be scored by the task's adapters or by the base model. */
  static MicroBatch whole(TaskRun run, Chunk chunk, boolean adapted) {
    MicroBatch.Builder builder = MicroBatch.builder();
    chunk.addTo(builder, run.number());
    MicroBatch batch = builder.build();
    return adapted
        ? run.route(batch).map(routing -> mixed(batch, Map.of(run.number(), routing))).orElse(batch)
        : batch;
  }

  private static MicroBatch mixed(MicroBatch batch, Map<Integer, Routing> routings) {
    if (routings.isEmpty()) {
      return batch;
    }
    Map<Integer, TokenMixture> mixtures = new HashMap<>();
    routings.forEach((task, routing) -> mixtures.put(task, routing.mixture()));
    return batch.withMixtures(mixtures);
  }

  /** Returns the tasks whose step is complete with this. */
  Set<Integer> complete() {
    return parts.stream()
        .filter(Part::completes)
        .map(part -> part.run().number())
        .collect(Collectors.toUnmodifiableSet());
  }

  /** Hands the gradients of the weights of mixtures to the tasks' gates. */
  void learnGates(Map<Integer, float[]> byWeight) {
    for (Part part : parts) {
      Routing routing = routings.get(part.run().number());
      if (routing != null && !part.run().hasEnded()) {
        part.run().learnGate(routing, Objects.requireNonNull(byWeight.get(part.run().number())));
      }
    }
  }
}
