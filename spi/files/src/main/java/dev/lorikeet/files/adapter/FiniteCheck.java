package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Locale;

/** Refuses weights that are NaN or infinite. */
public final class FiniteCheck implements WeightSink {
  /*
   * Idea: a number is NaN or infinite when all bits of its exponent are set. With the other bits masked away, adding
   * one to the exponent's lowest bit carries into the sign's place in exactly that case, and never into the next
   * number, so a 64-bit word checks two or four numbers at once.
   */
  private static final ValueLayout.OfLong WORD =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path file;

  /** Creates a check; messages name the file. */
  public FiniteCheck(Path file) {
    this.file = file;
  }

  @Override
  public void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
    if (!allFinite(factor == Factor.MAGNITUDE ? ElementType.F32 : spec.type(), data)) {
      throw Faults.ADAPTER.refuse(
          file,
          nameOf(factor)
              + " of "
              + spec.target()
              + ": expected finite weights, found NaN or infinity in rows "
              + firstLine
              + " to "
              + (firstLine + lines - 1));
    }
  }

  @Override
  public void acceptPart(int part, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    if (!allFinite(spec.type(), data)) {
      throw Faults.ADAPTER.refuse(
          file,
          spec.kind().name().toLowerCase(Locale.ROOT)
              + " of "
              + spec.target()
              + ": expected finite values, found NaN or infinity in rows "
              + firstRow
              + " to "
              + (firstRow + rows - 1));
    }
  }

  /** Returns how PEFT calls a factor. */
  public static String nameOf(Factor factor) {
    return switch (factor) {
      case A, A_BY_INPUT -> "lora_A";
      case B_BY_OUTPUT, B_BY_ROW -> "lora_B";
      case MAGNITUDE -> "lora_magnitude_vector";
    };
  }

  /** Returns whether all elements are numbers. */
  public static boolean allFinite(ElementType type, MemorySegment data) {
    long mask =
        switch (type) {
          case F32 -> 0x7F80_0000_7F80_0000L;
          case BF16 -> 0x7F80_7F80_7F80_7F80L;
          case F16 -> 0x7C00_7C00_7C00_7C00L;
        };
    long one =
        switch (type) {
          case F32 -> 0x0080_0000_0080_0000L;
          case BF16 -> 0x0080_0080_0080_0080L;
          case F16 -> 0x0400_0400_0400_0400L;
        };
    long sign = type == ElementType.F32 ? 0x8000_0000_8000_0000L : 0x8000_8000_8000_8000L;
    long carries = 0;
    long words = data.byteSize() & -8L;
    for (long at = 0; at < words; at += 8) {
      carries |= (data.get(WORD, at) & mask) + one;
    }
    if (words < data.byteSize()) {
      long last = 0;
      for (long at = data.byteSize() - 1; at >= words; at--) {
        last = last << 8 | data.get(ValueLayout.JAVA_BYTE, at) & 0xFF;
      }
      carries |= (last & mask) + one;
    }
    return (carries & sign) == 0;
  }
}
