package dev.lorikeet.jlama.training;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.parts.RowNorms;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients.MagnitudeGradients;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/** The magnitudes of the adapters of a pass (DoRA), and what they do to outputs of modules. */
final class Magnitudes {
  /*
   * Idea (Liu et al., arXiv 2402.09353). With z = W x + s B A x and n the norms of the rows of W + s B A, a module
   * gives y = (m / n) z. As PEFT has it, n is a constant to the gradient: dz = (m / n) dy and dm = sum over tokens
   * of dy z / n = dy y / m. So outputs are scaled after the executor has added its product, gradients before it takes
   * them, and the executor knows nothing of it.
   *
   * Cost: two passes over the outputs of a module; and since the backward wants them, which nobody keeps, a layer is
   * computed once more.
   */
  private final Map<TargetModule, List<Scaled>> byTarget = new HashMap<>();

  /**
   * What scales the outputs of some tokens.
   *
   * @param adapter whose
   * @param tokens which
   * @param magnitude by output feature
   * @param gain the magnitude divided by the norm
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Scaled(AdapterLease adapter, int[] tokens, float[] magnitude, float[] gain) {}

  /**
   * Takes the magnitudes that adapters have for a module, with the norms of its weight as it is
   * with each of them.
   */
  void add(
      LoraBatch lora,
      TargetModule target,
      WeightMatrix weight,
      RowNorms norms,
      StageWork work,
      WorkerTeam team) {
    for (int s = 0; s < lora.segments(); s++) {
      Optional<LoraWeights> weights = lora.adapter(s).weights(target);
      Optional<Tensor> magnitude = weights.flatMap(LoraWeights::magnitude);
      if (magnitude.isEmpty()) {
        continue;
      }
      double[] norm = norms(norms, weights.get(), weight, work, team);
      float[] values = new float[norm.length];
      float[] gain = new float[norm.length];
      for (int j = 0; j < gain.length; j++) {
        values[j] = at(magnitude.get(), j);
        gain[j] = (float) (values[j] / norm[j]);
      }
      byTarget
          .computeIfAbsent(target, t -> new ArrayList<>())
          .add(new Scaled(lora.adapter(s), tokens(lora, s), values, gain));
    }
  }

  /**
   * Shards by number use the scratch memory of the workers of those numbers, one of whom may be
   * late with a part of a layer that another has computed since.
   */
  private static double[] norms(
      RowNorms norms, LoraWeights lora, WeightMatrix weight, StageWork work, WorkerTeam team) {
    MatMul matMul = Kernels.get().matMul();
    team.quiesce();
    try {
      return norms.adapted(
          lora,
          weight,
          work.maxTokens,
          (w, x, count, y) -> {
            team.run((index, of) -> matMul.pack(work.panel, x, count, new Shard(index, of)));
            team.run(
                (index, of) ->
                    matMul.multiply(w, work.panel, y.first(count), new Shard(index, of)));
            team.quiesce();
          });
    } finally {
      team.quiesce();
    }
  }

  private static int[] tokens(LoraBatch lora, int segment) {
    int first = lora.segmentStart(segment);
    int end = lora.segmentEnd(segment);
    for (int entry = first; entry < end; entry++) {
      if (lora.weight(entry) != 1) {
        throw new IllegalArgumentException(
            "adapter '"
                + lora.adapter(segment).spec().id()
                + "': expected weight 1, since it has magnitudes, found "
                + lora.weight(entry));
      }
    }
    return IntStream.range(first, end).map(lora::token).toArray();
  }

  private static float at(Tensor vector, int j) {
    return vector.segment().get(ValueLayout.JAVA_FLOAT, (long) j * Float.BYTES);
  }

  boolean isEmpty() {
    return byTarget.isEmpty();
  }

  boolean has(TargetModule target) {
    return byTarget.containsKey(target);
  }

  private List<Scaled> of(TargetModule target) {
    return byTarget.getOrDefault(target, List.of());
  }

  /** Scales the outputs of a module. */
  void scale(TargetModule target, Rows y, WorkerTeam team) {
    for (Scaled scaled : of(target)) {
      team.run((index, count) -> scale(scaled, y, new Shard(index, count)));
    }
  }

  private static void scale(Scaled scaled, Rows y, Shard shard) {
    float[] row = new float[y.columns()];
    int[] tokens = scaled.tokens;
    for (int t = shard.first(tokens.length); t < shard.end(tokens.length); t++) {
      MemorySegment line = y.row(tokens[t]);
      MemorySegment.copy(line, ValueLayout.JAVA_FLOAT, 0, row, 0, row.length);
      for (int j = 0; j < row.length; j++) {
        row[j] *= scaled.gain[j];
      }
      MemorySegment.copy(row, 0, line, ValueLayout.JAVA_FLOAT, 0, row.length);
    }
  }

  /**
   * Adds the gradients of a module's magnitudes, and makes the gradient of its output that of what
   * was scaled.
   *
   * @param y its output, scaled
   * @param dy the gradient of y; becomes that of z
   */
  void back(TargetModule target, Rows y, Rows dy, MagnitudeGradients learned, WorkerTeam team) {
    for (Scaled scaled : of(target)) {
      learned
          .sums(scaled.adapter, target)
          .ifPresent(sums -> addGradient(scaled, y, dy, sums.segment()));
    }
    scale(target, dy, team);
  }

  /** One thread adds in the order of the tokens, so that the bits are always the same. */
  private static void addGradient(Scaled scaled, Rows y, Rows dy, MemorySegment sums) {
    double[] found = new double[y.columns()];
    for (int token : scaled.tokens) {
      for (int j = 0; j < found.length; j++) {
        found[j] += (double) dy.get(token, j) * y.get(token, j);
      }
    }
    for (int j = 0; j < found.length; j++) {
      if (scaled.magnitude[j] != 0) {
        float before = sums.getAtIndex(ValueLayout.JAVA_FLOAT, j);
        sums.setAtIndex(
            ValueLayout.JAVA_FLOAT, j, (float) (before + found[j] / scaled.magnitude[j]));
      }
    }
  }
}
