package dev.lorikeet.adapter;

import java.util.Collection;
import java.util.List;
import java.util.Optional;

/**
 * Where adapters live. Registration reads and checks an adapter and keeps its description; weights
 * are fetched into memory when first needed and leave it, least recently used first, when room is
 * needed and nobody holds a lease. All methods may be called from any thread. Rules S1 to S17 of
 * the specification.
 */
public interface AdapterStore extends AutoCloseable {
  /**
   * Registers an adapter under a name, all or nothing: everything is validated first, and a failed
   * registration leaves the store as it was. A name that is registered already is replaced: leases
   * on the old generation go on undisturbed, later ones get the new.
   *
   * @return the description, with its new generation
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID}, {@code
   *     ADAPTER_UNSUPPORTED} or {@code TOO_LARGE}; the message names the file and the key or tensor
   */
  AdapterSpec register(AdapterSource source);

  /**
   * Pins an adapter's weights, fetching them first if they are not in memory; blocks meanwhile.
   *
   * @return a lease that the caller closes
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_NOT_FOUND}; {@code
   *     POOL_EXHAUSTED} if there is no room now; {@code ADAPTER_INVALID} if the files changed for
   *     the worse since registration
   */
  AdapterLease acquire(String id);

  /**
   * Pins an adapter's weights if they are in memory; never blocks on input or output. Empty if they
   * are not, or if the name is unknown.
   */
  Optional<AdapterLease> acquireIfResident(String id);

  /**
   * Hints that these adapters are needed soon. Unknown names are ignored; a failure shows when the
   * adapter is acquired. Returns at once.
   */
  void prefetch(Collection<String> ids);

  /**
   * Removes a name. New leases fail at once; the weights are freed when the last open lease closes.
   *
   * @return whether the name was registered
   */
  boolean unregister(String id);

  /** Returns the description of a registered adapter. */
  Optional<AdapterSpec> find(String id);

  /**
   * Returns what a registered adapter's files say of texts, as they were at registration; reads no
   * files. Empty, as it always is by default, where they say nothing or the name is unknown: then
   * the base model's chat template and tokenizer are all there is.
   */
  default Optional<AdapterText> text(String id) {
    return Optional.empty();
  }

  /** Returns the descriptions of all registered adapters, sorted by name. */
  List<AdapterSpec> list();

  /** Returns counts for monitoring. */
  StoreStats stats();

  /**
   * Frees everything. Idempotent.
   *
   * @throws IllegalStateException if leases are open; the message names the adapters. What is not
   *     leased is freed, the rest when its last lease closes
   */
  @Override
  void close();
}
