package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.shape.TargetModule;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/** A lease of a store, together with what a decoder has made of the adapter for its own model. */
final class ChangedLease implements AdapterLease {
  private final AdapterLease lease;
  private final AdapterChanges changes;
  private final Runnable release;
  private final AtomicBoolean closed = new AtomicBoolean();

  ChangedLease(AdapterLease lease, AdapterChanges changes, Runnable release) {
    this.lease = lease;
    this.changes = changes;
    this.release = release;
  }

  AdapterChanges changes() {
    return changes;
  }

  @Override
  public AdapterSpec spec() {
    return lease.spec();
  }

  @Override
  public Optional<LoraWeights> weights(TargetModule target) {
    return lease.weights(target);
  }

  @Override
  public Optional<PartWeights> part(TargetModule target, PartSpec.Kind kind) {
    return lease.part(target, kind);
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      try {
        lease.close();
      } finally {
        release.run();
      }
    }
  }
}
