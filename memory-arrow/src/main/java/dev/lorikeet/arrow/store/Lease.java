package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.files.adapter.WeightTable;
import dev.lorikeet.shape.TargetModule;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/** A claim on the weights of one registration. */
final class Lease implements AdapterLease {
  private final AdapterSpec spec;
  private final WeightTable table;
  private final Runnable release;
  private final AtomicBoolean closed = new AtomicBoolean();

  Lease(AdapterSpec spec, WeightTable table, Runnable release) {
    this.spec = spec;
    this.table = table;
    this.release = release;
  }

  @Override
  public AdapterSpec spec() {
    return spec;
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    requireOpen();
    return table.find(target);
  }

  @Override
  public Optional<PartWeights> part(TargetModule target, PartSpec.Kind kind) {
    requireOpen();
    return table.part(target, kind);
  }

  private void requireOpen() {
    if (closed.get()) {
      throw new IllegalStateException(
          "adapter '" + spec.id() + "': expected an open lease, found a closed one");
    }
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      release.run();
    }
  }

  @Override
  public String toString() {
    return "lease on '" + spec.id() + "' generation " + spec.generation();
  }
}
