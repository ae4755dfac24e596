package dev.lorikeet.conformance.executor;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** Rewrites the batch before it is computed. */
abstract class RewritingExecutor extends ReferenceExecutor {
  RewritingExecutor(Workers workers) {
    super(workers);
  }

  abstract LoraBatch rewritten(LoraBatch batch);

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    requireOpen();
    check(targets, batch, x, y);
    super.addDelta(targets, rewritten(batch), x, y);
  }
}
