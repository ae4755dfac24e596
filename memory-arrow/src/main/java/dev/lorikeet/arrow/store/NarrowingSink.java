package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.WeightSink;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;

/**
 * Rounds F32 factors to the 16-bit type in which they are kept and hands them on; other weights,
 * magnitudes and parts pass as they are. Refuses what the narrower type can't hold: weights that
 * are NaN or infinite, or that would become infinite.
 */
final class NarrowingSink implements WeightSink {
  /*
   * Idea: to nearest, ties to even (IEEE 754, roundTiesToEven). BF16 is the upper half of F32, so adding half of its
   * last place, less one where that place is even, carries exactly when the weight has to go up, through the exponent
   * where it must: subnormals, powers of two and overflow need no case of their own. The largest NaN patterns are
   * lowered first, so that the addition can't carry into the sign and make them numbers. F16 is the JDK's conversion.
   * Cost: a pass over a chunk that was just read and lies in the second-level cache, in loops without branches that
   * look for the largest magnitude on the way. Half as many bytes go into pages, so that loading from the page cache
   * takes as long as without it.
   */
  private static final int BLOCK = 4096;
  private static final int MAGNITUDE = 0x7FFF_FFFF;
  private static final int QUIET_NAN = 0x7FC0_0000;
  private static final int HALF_LESS_ONE = 0x7FFF;
  private static final int INFINITY = 0x7F80_0000;

  /** The least number that F16 rounds to infinity. */
  private static final float F16_INFINITY = 65_520f;

  private final Path file;
  private final List<TargetSpec> kept;
  private final WeightSink next;
  private final int[] bits = new int[BLOCK];
  private final float[] values = new float[BLOCK];
  private short[] narrow = {};

  /**
   * Creates a sink.
   *
   * @param file the file of the weights, for messages
   * @param kept the target modules as they are kept, in the order of the file
   * @param next takes the weights with the target modules as they are kept
   */
  NarrowingSink(Path file, List<TargetSpec> kept, WeightSink next) {
    this.file = file;
    this.kept = kept;
    this.next = next;
  }

  @Override
  public void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
    TargetSpec narrower = kept.get(target);
    if (narrower.type() == spec.type() || factor == Factor.MAGNITUDE) {
      next.accept(target, narrower, factor, firstLine, lines, data);
      return;
    }
    int count = Math.toIntExact(data.byteSize() / Float.BYTES);
    if (narrow.length < count) {
      narrow = new short[count];
    }
    boolean held = true;
    for (int at = 0; at < count; at += BLOCK) {
      int block = Math.min(BLOCK, count - at);
      long from = (long) at * Float.BYTES;
      switch (narrower.type()) {
        case BF16 -> {
          MemorySegment.copy(data, ValueLayout.JAVA_INT_UNALIGNED, from, bits, 0, block);
          held &= toBf16(bits, block, narrow, at);
        }
        case F16 -> {
          MemorySegment.copy(data, ValueLayout.JAVA_FLOAT_UNALIGNED, from, values, 0, block);
          held &= toF16(values, block, narrow, at);
        }
        case F32 -> throw new IllegalArgumentException("expected a type narrower than F32");
      }
    }
    if (!held) {
      throw notHeld(narrower, factor, firstLine, count / lines, data);
    }
    MemorySegment rounded = MemorySegment.ofArray(narrow).asSlice(0, (long) count * Short.BYTES);
    next.accept(target, narrower, factor, firstLine, lines, rounded);
  }

  @Override
  public void acceptPart(int part, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    next.acceptPart(part, spec, firstRow, rows, data);
  }

  /**
   * Rounds F32 bit patterns to BF16; what is no finite number stays none. Overwrites {@code from}:
   * rounding and narrowing in one loop would take three times as long, since the compiler makes
   * vectors only of the former.
   *
   * @return whether all are finite now
   */
  static boolean toBf16(int[] from, int count, short[] to, int at) {
    int largest = 0;
    for (int i = 0; i < count; i++) {
      int magnitude = Math.min(from[i] & MAGNITUDE, QUIET_NAN);
      int rounded = magnitude + HALF_LESS_ONE + (magnitude >>> 16 & 1);
      largest = Math.max(largest, rounded);
      from[i] = (from[i] & ~MAGNITUDE | rounded) >>> 16;
    }
    for (int i = 0; i < count; i++) {
      to[at + i] = (short) from[i];
    }
    return largest < INFINITY;
  }

  /**
   * Rounds to F16; what is no finite number stays none.
   *
   * @return whether all are finite now
   */
  static boolean toF16(float[] from, int count, short[] to, int at) {
    float largest = 0;
    for (int i = 0; i < count; i++) {
      largest = Math.max(largest, Math.abs(from[i])); // NaN if one is
      to[at + i] = Float.floatToFloat16(from[i]);
    }
    return largest < F16_INFINITY;
  }

  /** Describes the first weight that the narrower type can't hold. */
  private LorikeetException notHeld(
      TargetSpec narrower, Factor factor, int firstLine, int lineLength, MemorySegment data) {
    int at = 0;
    while (FiniteCheck.allFinite(
        narrower.type(),
        MemorySegment.ofArray(narrow).asSlice((long) at * Short.BYTES, Short.BYTES))) {
      at++;
    }
    float found = data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) at * Float.BYTES);
    return Faults.ADAPTER.refuse(
        file,
        FiniteCheck.nameOf(factor)
            + " of "
            + narrower.target()
            + ": expected finite weights"
            + (Float.isFinite(found)
                ? " that " + narrower.type() + " can hold, up to " + largest(narrower.type())
                : "")
            + ", found "
            + found
            + " in row "
            + (firstLine + at / lineLength)
            + ", column "
            + at % lineLength);
  }

  private static float largest(ElementType type) {
    return type == ElementType.F16 ? 65_504f : Float.intBitsToFloat(0x7F7F_0000);
  }
}
