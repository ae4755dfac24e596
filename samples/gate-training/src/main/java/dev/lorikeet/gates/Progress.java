package dev.lorikeet.gates;

/** Is told how far a long task has come. */
public interface Progress {
  /** A part of the task begins. */
  void begin(String part, int steps);

  /** A step of the part is done. */
  void step();
}
