package dev.lorikeet.training.pipeline;

import java.util.List;

/** What messages between the coordinator and the stages of a pipeline are about. */
enum Kind {
  // From the coordinator to each stage.
  /** What its part is. */
  ASSIGN,
  /** A task comes: its modules of the stage's layers. */
  JOIN,
  /** The state of one of them. */
  LOAD,
  /** How long did things take? */
  METER,

  // Through the stages, one after the other, in the order in which they were sent.
  /** A micro-batch, with the hidden states from the second stage on. */
  FORWARD,
  /** A task's weights change. */
  STEP,
  /** A task's state is wanted. */
  COLLECT,
  /** A task goes. */
  LEAVE,

  /** From a stage to the one before: the gradient of its input. */
  BACKWARD,
  /** From the coordinator to the last stage: the gradient of log-probabilities. */
  COEFFICIENTS,

  // From a stage to the coordinator.
  /** Its part is open. */
  READY,
  /** The task is in. */
  JOINED,
  /** The log-probabilities of a micro-batch. */
  SCORED,
  /** A micro-batch has gone back, with the squares of gradients that are complete. */
  BACK,
  /** The state of one module of a task. */
  STATE,
  /** How long things took. */
  METERED;

  private static final List<Kind> ALL = List.of(values());

  /** Returns the kind of the message. */
  int number() {
    return ALL.indexOf(this);
  }

  static Kind of(int number) {
    if (number >= ALL.size()) {
      throw new IllegalArgumentException(
          "pipeline: expected a kind of message below " + ALL.size() + ", found " + number);
    }
    return ALL.get(number);
  }
}
