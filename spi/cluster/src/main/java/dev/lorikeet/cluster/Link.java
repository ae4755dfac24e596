package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** The way from one member to another, and back. Messages arrive in the order of their sending. */
interface Link {
  /** Sends a message; returns when the parts may be used for something else. */
  void send(int kind, MemorySegment... parts);

  /** Does what is due from time to time. */
  default void tend() {}

  /**
   * Ends the link. Whoever waits to send is told the reason.
   *
   * @param reason why
   * @param told what the other side is told; empty for an orderly end
   */
  void end(LorikeetException reason, Optional<String> told);

  /** Waits until the other side has read everything, or for a while. */
  default void awaitEnd() {}
}
