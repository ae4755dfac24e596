package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.model.RequestObserver;

/** What a sequence is for. Called on the decoding thread, but for the constructors of its forms. */
sealed interface Task permits GenerateTask, ScoreTask {
  /** Returns whether logits are wanted after every token, rather than after the last known one. */
  boolean wantsAllLogits();

  /**
   * Returns how many more tokens are certain to be generated: 1 where any token may be the last.
   */
  int leastTokensToCome();

  /** Returns how many more tokens may be generated. */
  int mostTokensToCome();

  /**
   * Returns how many more tokens are to be expected.
   *
   * @param usual how many tokens generations have had that ended lately, on average
   */
  int tokensToCome(double usual);

  /** Returns what watches the request. */
  RequestObserver observer();

  /** Returns what telemetry is told of the request. */
  RequestTrace trace();

  /** Ends the request with a failure. */
  void fail(LorikeetException failure);
}
