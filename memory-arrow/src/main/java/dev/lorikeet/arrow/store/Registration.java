package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterText;
import java.nio.file.Path;
import java.util.Optional;

/**
 * One registration of an adapter. Everything that changes is guarded by the lock of the store;
 * compared by identity.
 */
final class Registration {
  final AdapterSpec spec;
  final Path path;
  final long digest;

  /** Open leases, and callers of {@code acquire} that wait for the weights. */
  int pins;

  /** Whether the name is gone or means a later registration: free the weights when pins reach 0. */
  boolean retired;

  /** What the files say of texts; nothing once it is retired, since leases do not need it. */
  Optional<AdapterText> text;

  Optional<Resident> resident = Optional.empty();
  Optional<Load<Resident>> load = Optional.empty();

  Registration(AdapterSpec spec, Path path, long digest, Optional<AdapterText> text) {
    this.spec = spec;
    this.path = path;
    this.digest = digest;
    this.text = text;
  }
}
