package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.TargetModule;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/** Embeddings as adapters change them. Used by the decoding thread. */
public final class EmbeddingChanges {
  /*
   * Idea. A token's input is one-hot, so its product with A is a column of A, rank elements that lie a row apart; B is
   * added row by row. Rows that were trained take the place of the base model's by adding the difference, so that
   * mixtures and the embedding of positions need no case of their own.
   * Cost for each token: rank * hidden flops, or a row of each matrix.
   */
  private static final TargetModule MODULE = TargetModule.embedding();

  private final WeightMatrix embedding;
  private final float factor;
  private final WorkerTeam team;

  /**
   * Creates the changes of a model.
   *
   * @param factor what embeddings are multiplied by before the first layer
   */
  public EmbeddingChanges(WeightMatrix embedding, float factor, WorkerTeam team) {
    this.embedding = embedding;
    this.factor = factor;
    this.team = team;
  }

  /** Changes the residual stream as it is before the first layer. */
  public void apply(LoraBatch lora, StepBatch step, Rows residual) {
    for (int s = 0; s < lora.segments(); s++) {
      AdapterLease lease = lora.adapter(s);
      Optional<LoraWeights> factors = lease.weights(MODULE);
      Optional<PartWeights> rows = lease.part(MODULE, PartSpec.Kind.ROWS);
      if (factors.isPresent() || rows.isPresent()) {
        int first = lora.segmentStart(s);
        int count = lora.segmentEnd(s) - first;
        team.run(
            (index, of) -> {
              Shard shard = new Shard(index, of);
              for (int e = first + shard.first(count); e < first + shard.end(count); e++) {
                int token = lora.token(e);
                int id = step.tokenId(token);
                float weight = lora.weight(e) * factor;
                rows.ifPresent(part -> replace(part, id, weight, residual, token));
                factors.ifPresent(f -> add(f, id, weight, residual, token));
              }
            });
      }
    }
    team.quiesce();
  }

  private void replace(PartWeights part, int id, float weight, Rows residual, int token) {
    int row = RowIndex.of(part.spec(), id);
    if (row < 0) {
      return;
    }
    for (int i = 0; i < embedding.columns(); i++) {
      float difference = part.get(row, i) - embedding.get(id, i);
      residual.set(token, i, Math.fma(weight, difference, residual.get(token, i)));
    }
  }

  private static void add(LoraWeights lora, int id, float weight, Rows residual, int token) {
    LoraFactor a = lora.a();
    LoraFactor b = lora.b();
    int columns = residual.columns();
    float[] sum = new float[columns];
    for (int r = 0; r < a.rank(); r++) {
      long column = (long) id * a.type().bytes();
      float shrunk = weight * lora.scaling() * a.type().read(a.memory(), a.rowOffset(r) + column);
      for (int i = 0; i < columns; i++) {
        long at = b.rowOffset(r) + (long) i * b.type().bytes();
        sum[i] = Math.fma(shrunk, b.type().read(b.memory(), at), sum[i]);
      }
    }
    long row = token * residual.stride();
    for (int i = 0; i < columns; i++) {
      float before = residual.segment().get(ValueLayout.JAVA_FLOAT, row + i * 4L);
      residual.segment().set(ValueLayout.JAVA_FLOAT, row + i * 4L, before + sum[i]);
    }
  }
}
