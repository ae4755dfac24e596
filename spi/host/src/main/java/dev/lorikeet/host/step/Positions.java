package dev.lorikeet.host.step;

/** Where the tokens of a batch stand in their sequences. */
@FunctionalInterface
public interface Positions {
  /** Returns the position of a token in its sequence, from 0. */
  int position(int token);
}
