package dev.lorikeet.jlama.decoder;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A buffer of float32 rows, each beginning on a cache line.
 *
 * @param segment the memory
 * @param stride bytes between rows
 * @param columns elements of a row
 * @param tensor the buffer as a tensor
 * @param slices the rows, made once
 */
record Rows(
    MemorySegment segment, long stride, int columns, Tensor tensor, List<MemorySegment> slices) {
  private static final int LINE = 64;

  static Rows allocate(Arena arena, int rows, int columns) {
    long stride = ((long) columns * Float.BYTES + LINE - 1) / LINE * LINE;
    MemorySegment segment = arena.allocate(rows * stride, LINE);
    Tensor tensor =
        new Tensor(segment, ElementType.F32, rows, columns, stride / Float.BYTES, Device.HOST);
    List<MemorySegment> slices =
        IntStream.range(0, rows)
            .mapToObj(row -> segment.asSlice(row * stride, (long) columns * Float.BYTES))
            .toList();
    return new Rows(segment, stride, columns, tensor, slices);
  }

  MemorySegment row(int row) {
    return slices.get(row);
  }
}
