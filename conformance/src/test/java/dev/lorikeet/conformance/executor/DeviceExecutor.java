package dev.lorikeet.conformance.executor;

import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * An executor with a device of its own, which is host memory by another name. It takes activations
 * of every type in host memory and on its device, and merges on its device alone.
 */
public class DeviceExecutor extends ReferenceExecutor {
  public static final Device DEVICE = new Device("imagined", 0);

  /** Puts tensors into memory that only this class knows to be the host's. */
  public static final TensorPlacement PLACEMENT =
      new TensorPlacement() {
        @Override
        public Device device() {
          return DEVICE;
        }

        @Override
        public MemorySegment send(MemorySegment host) {
          return Arena.ofAuto().allocate(host.byteSize(), 64).copyFrom(host);
        }

        @Override
        public void fetch(MemorySegment onDevice, MemorySegment host) {
          host.copyFrom(onDevice);
        }

        @Override
        public void free(MemorySegment onDevice) {
          onDevice.fill((byte) -1);
        }
      };

  DeviceExecutor(Workers workers) {
    super(workers);
  }

  @Override
  public Device device() {
    return DEVICE;
  }

  @Override
  public boolean takesActivations(ElementType type, Device device) {
    return device.isHost() || device.equals(DEVICE);
  }

  @Override
  public boolean merges(ElementType type, Device device) {
    return device.equals(DEVICE);
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    requireOpen();
    check(targets, batch, x, y);
    List<Tensor> sums = new ArrayList<>();
    y.forEach(one -> sums.add(widened(one)));
    super.addDelta(targets, batch, widened(x), sums);
    for (int m = 0; m < y.size(); m++) {
      for (int s = 0; s < batch.segments(); s++) {
        if (batch.adapter(s).weights(targets.targets().get(m)).isPresent()) {
          for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
            copyRow(sums.get(m), y.get(m), batch.token(e));
          }
        }
      }
    }
  }

  /** Returns an F32 copy. */
  Tensor widened(Tensor tensor) {
    Tensor wide =
        Tensor.host(
            Arena.ofAuto().allocate(4 * Math.max(1, tensor.rows() * tensor.columns())),
            ElementType.F32,
            tensor.rows(),
            tensor.columns());
    for (int row = 0; row < tensor.rows(); row++) {
      copyRow(tensor, wide, row);
    }
    return wide;
  }

  private static void copyRow(Tensor from, Tensor to, int row) {
    for (int i = 0; i < from.columns(); i++) {
      set(to, row, i, element(from, row, i));
    }
  }
}
