package dev.lorikeet.host.stream;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;

/** What computes a request, as those who wait for its results see it. Thread-safe. */
public interface Writer {
  /** Asks for an early end; perhaps more than once. */
  void cancel();

  /** Returns whether the caller is the thread that computes the request. */
  boolean isCurrentThread();

  /**
   * Refuses to let the thread that computes the request wait for it.
   *
   * @param what what the caller would wait for
   * @throws LorikeetException with code {@code WRONG_THREAD}
   */
  default void refuseToWaitFor(String what) {
    if (isCurrentThread()) {
      throw onDecodingThread("to wait for " + what);
    }
  }

  /** Returns the refusal of a call by the decoding thread that waits for the decoding thread. */
  static LorikeetException onDecodingThread(String call) {
    return new LorikeetException(
        Code.WRONG_THREAD,
        "expected another thread "
            + call
            + ", found the model's decoding thread, which calls observers and routers and would"
            + " wait for itself");
  }
}
