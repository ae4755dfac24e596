package dev.lorikeet.cuda.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** Checks of what callers hand in, before anything is written. */
final class Shapes {
  /** What a grid's second dimension reaches, with 256 columns for each thread block. */
  private static final long MOST_COLUMNS = 65_535 * 256;

  private Shapes() {}

  static void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y, Device device) {
    if (y.size() != targets.targets().size()) {
      throw new IllegalArgumentException(
          "y: expected "
              + targets.targets().size()
              + " tensors, one for each of "
              + targets.projections()
              + ", found "
              + y.size());
    }
    checkTensor("x", batch, x, x, device);
    for (int i = 0; i < y.size(); i++) {
      checkTensor("y", batch, y.get(i), x, device);
    }
  }

  private static void checkTensor(
      String name, LoraBatch batch, Tensor tensor, Tensor x, Device device) {
    if (!tensor.device().isHost() && !tensor.device().equals(device)) {
      throw new IllegalArgumentException(
          name + ": expected a tensor on " + device + " or the host, found " + tensor);
    }
    if (tensor.type() != x.type()) {
      throw new IllegalArgumentException(
          name + ": expected the element type of x, " + x.type() + ", found " + tensor);
    }
    if (tensor.rows() < batch.tokens()) {
      throw new IllegalArgumentException(
          name + ": expected at least " + batch.tokens() + " rows, found " + tensor);
    }
    if (tensor.columns() > MOST_COLUMNS) {
      throw new IllegalArgumentException(
          name + ": expected at most " + MOST_COLUMNS + " columns, found " + tensor);
    }
  }

  /** Asks each lease for weights, which fails if it is closed. */
  static void checkOpen(TargetGroup targets, LoraBatch batch) {
    for (int s = 0; s < batch.segments(); s++) {
      var _ = batch.adapter(s).weights(targets.targets().getFirst());
    }
  }

  static void checkAdapter(
      AdapterLease lease, TargetModule target, int in, int out, Tensor x, Tensor y) {
    if (in != x.columns()) {
      throw new IllegalArgumentException(
          "x: adapter '"
              + lease.spec().id()
              + "' takes "
              + in
              + " columns for "
              + target
              + ", found "
              + x);
    }
    if (out != y.columns()) {
      throw new IllegalArgumentException(
          "y: adapter '"
              + lease.spec().id()
              + "' gives "
              + out
              + " columns for "
              + target
              + ", found "
              + y);
    }
  }

  /** Returns whether every row begins at a multiple of 16 bytes; copies on the device do. */
  static boolean isAligned(Tensor tensor) {
    return tensor.device().isHost()
        || (tensor.segment().address() % 16 == 0 && tensor.rowStrideBytes() % 16 == 0);
  }
}
