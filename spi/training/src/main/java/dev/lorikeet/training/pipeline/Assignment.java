package dev.lorikeet.training.pipeline;

import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;
import dev.lorikeet.training.stage.StageSpan;
import java.nio.file.Path;

/**
 * What a member is told of its part of a pipeline.
 *
 * @param stage its number, from 0
 * @param members the members of the group by stage
 * @param model the model's directory, as the coordinator sees it
 * @param modelBytes the bytes of its weights
 * @param span which part of it
 * @param schedule in which order it computes
 * @param maxTokens the most tokens of a micro-batch
 * @param window how many may be under way at once, where there are no rounds
 * @param activationBytes what may be kept for the backwards of all that are
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record Assignment(
    int stage,
    int[] members,
    Path model,
    long modelBytes,
    StageSpan span,
    PipelineSchedule schedule,
    int maxTokens,
    int window,
    long activationBytes) {
  static Assignment of(PipelinePlan plan, int stage, int[] members) {
    return new Assignment(
        stage,
        members,
        plan.model(),
        plan.modelBytes(),
        plan.spans().get(stage),
        plan.schedule(),
        plan.maxTokens(),
        plan.window(),
        plan.activationBytes());
  }

  int stages() {
    return members.length;
  }

  Packer pack() {
    return new Packer()
        .put(stage)
        .put(members)
        .put(model.toString())
        .put(modelBytes)
        .put(span.first())
        .put(span.end())
        .put(schedule.name())
        .put(maxTokens)
        .put(window)
        .put(activationBytes);
  }

  static Assignment unpack(Unpacker from) {
    int stage = from.getInt();
    int[] members = from.getInts();
    Path model = Path.of(from.getText());
    long bytes = from.getLong();
    StageSpan span =
        new StageSpan(from.getInt(), from.getInt(), stage == 0, stage == members.length - 1);
    return new Assignment(
        stage,
        members,
        model,
        bytes,
        span,
        PipelineSchedule.valueOf(from.getText()),
        from.getInt(),
        from.getInt(),
        from.getLong());
  }

  /** Returns how to name it. */
  String title() {
    return "stage " + stage + " (layers " + span.first() + " to " + (span.end() - 1) + ")";
  }
}
