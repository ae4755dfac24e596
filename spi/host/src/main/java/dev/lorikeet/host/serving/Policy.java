package dev.lorikeet.host.serving;

/** In what order waiting requests are admitted: the option {@code policy}. */
public enum Policy {
  /** By priority, then arrival. */
  FCFS,
  /** Those first whose adapters are in use already, within a bound. */
  CLUSTERED,
  /** Equal shares for tenants. */
  FAIR;

  AdmissionPolicy create(Limits limits) {
    return switch (this) {
      case FCFS -> new FirstCome();
      case CLUSTERED -> new AdapterClustered(2 * limits.batchSequences());
      case FAIR -> new FairShare();
    };
  }
}
