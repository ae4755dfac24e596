package dev.lorikeet.training.pipeline;

import java.util.Locale;

/**
 * In which order a stage computes what has come to it, and when micro-batches may enter the
 * pipeline. All give the same results, bit for bit.
 */
public enum PipelineSchedule {
  /**
   * GPipe (arXiv 1811.06965): a round is one step of every task; first all its forwards, then all
   * its backwards, then the pipeline is empty. Every stage holds all passes of a round.
   */
  GPIPE,
  /**
   * One forward, one backward (PipeDream-flush, arXiv 2006.09503): rounds as GPipe has them, but a
   * stage goes back as soon as it can, and holds no more passes than there are stages behind it.
   */
  ONE_F_ONE_B,
  /**
   * LoRA-aware (mLoRA's LoRAPP, arXiv 2312.02515): no rounds. A task waits for nothing but its own
   * step, and meanwhile the micro-batches of other tasks, which do not depend on it, keep the
   * stages busy.
   */
  LORA_AWARE;

  /** What a stage does next. */
  public enum Move {
    /** The forward of the micro-batch that came first. */
    FORWARD,
    /** The backward whose gradient came first. */
    BACKWARD,
    /** Nothing, until something comes. */
    WAIT
  }

  /**
   * How a stage stands that is free to compute.
   *
   * @param stage its number, from 0
   * @param stages how many there are
   * @param round how many micro-batches the round has
   * @param forwards how many of them went forward here
   * @param backwards how many went back
   * @param hasForward whether one has come to go forward
   * @param hasBackward whether a gradient has come
   */
  public record Standing(
      int stage,
      int stages,
      int round,
      int forwards,
      int backwards,
      boolean hasForward,
      boolean hasBackward) {}

  /** Returns the name on command lines, such as {@code lora-aware}. */
  public String title() {
    return this == ONE_F_ONE_B ? "1f1b" : name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Returns whether micro-batches go in rounds, with an empty pipeline between them. */
  public boolean hasRounds() {
    return this != LORA_AWARE;
  }

  /**
   * Returns whether a micro-batch may enter. Where there are rounds, a whole round enters at once.
   *
   * @param underway how many have entered and are not through
   * @param window how many may be
   */
  public boolean mayEnter(int underway, int window) {
    return hasRounds() ? underway == 0 : underway < window;
  }

  /** Returns what a stage does next. */
  public Move next(Standing s) {
    return switch (this) {
      case GPIPE -> s.forwards < s.round ? forward(s) : backward(s);
      case ONE_F_ONE_B ->
          s.forwards < s.round && s.forwards - s.backwards < s.stages - s.stage
              ? forward(s)
              : backward(s);
      case LORA_AWARE -> s.hasBackward ? Move.BACKWARD : forward(s);
    };
  }

  private static Move forward(Standing s) {
    return s.hasForward ? Move.FORWARD : Move.WAIT;
  }

  private static Move backward(Standing s) {
    return s.hasBackward ? Move.BACKWARD : Move.WAIT;
  }
}
