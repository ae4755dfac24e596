package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.lang.foreign.MemorySegment;

/** Takes the weights of an adapter as they are read. */
public interface WeightSink {
  /**
   * Takes some lines of one factor, as they lie in the file.
   *
   * @param target the index of the target module in the file's list
   * @param spec that target module
   * @param factor which of its factors
   * @param firstLine the number of the first line
   * @param lines how many lines
   * @param data the lines without gaps; valid during the call
   */
  void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data);

  /**
   * Takes some rows of a part.
   *
   * @param part the index of the part in the file's list
   * @param spec that part
   * @param firstRow the number of the first row
   * @param rows how many rows
   * @param data the rows without gaps, in the part's type; valid during the call
   */
  default void acceptPart(int part, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    throw new IllegalArgumentException(spec + ": expected an adapter of factors alone");
  }

  /** How a factor lies in a file. */
  enum Factor {
    /** A: a line per row of the factor. */
    A,
    /** A as MLX stores it: a line per input feature, with one element per row of the factor. */
    A_BY_INPUT,
    /** B as PEFT stores it: a line per output feature, with one element per row of the factor. */
    B_BY_OUTPUT,
    /** B as Arrow files keep it: a line per row of the factor. */
    B_BY_ROW,
    /** The magnitude, if the module has one: a line of F32. */
    MAGNITUDE
  }
}
