package dev.lorikeet.conformance.executor;

import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Where matrices lie during one call: in host memory as they are, or on a device from the first
 * {@link #tensor} to {@link #fetch}.
 */
final class Placed implements AutoCloseable {
  /**
   * An element type in a place.
   *
   * @param type the element type
   * @param placement how to get there; empty for host memory
   */
  record Site(ElementType type, Optional<TensorPlacement> placement) {
    Device device() {
      return placement.map(TensorPlacement::device).orElse(Device.HOST);
    }

    /** Returns all element types in host memory, and on the device if there is one. */
    static List<Site> all(Optional<TensorPlacement> placement) {
      List<Site> sites = new ArrayList<>();
      for (ElementType type : ElementType.values()) {
        sites.add(new Site(type, Optional.empty()));
        if (placement.isPresent()) {
          sites.add(new Site(type, placement));
        }
      }
      return sites;
    }

    @Override
    public String toString() {
      return type + "@" + device();
    }
  }

  private record OnDevice(GuardedMatrix matrix, MemorySegment memory) {}

  private final Optional<TensorPlacement> placement;
  private final List<OnDevice> sent = new ArrayList<>();

  Placed(Optional<TensorPlacement> placement) {
    this.placement = placement;
  }

  /** Returns a matrix as it is taken there. */
  Tensor tensor(GuardedMatrix matrix) {
    if (placement.isEmpty()) {
      return matrix.tensor();
    }
    TensorPlacement device = placement.get();
    MemorySegment memory = device.send(matrix.memory());
    sent.add(new OnDevice(matrix, memory));
    Tensor host = matrix.tensor();
    return new Tensor(
        memory.asSlice(host.segment().address() - matrix.memory().address()),
        host.type(),
        host.rows(),
        host.columns(),
        host.rowStride(),
        device.device());
  }

  /** Brings every matrix back. */
  void fetch() {
    for (OnDevice one : sent) {
      placement.orElseThrow().fetch(one.memory, one.matrix.memory());
    }
  }

  @Override
  public void close() {
    sent.forEach(one -> placement.orElseThrow().free(one.memory));
  }
}
