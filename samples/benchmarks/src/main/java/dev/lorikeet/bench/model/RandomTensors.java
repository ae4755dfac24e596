package dev.lorikeet.bench.model;

import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntPredicate;

/** Safetensors files of BF16 tensors whose elements come from a seed. */
final class RandomTensors {
  /** How the elements of a tensor come about. */
  sealed interface Fill {
    /** Every element is one, as in a norm that leaves things alone. */
    record Ones() implements Fill {}

    /** Elements are uniform between {@code -bound} and {@code bound}. */
    record Uniform(float bound) implements Fill {}

    /** As {@link Uniform}, but that some rows of the matrix are zero. */
    record ZeroRows(float bound, IntPredicate zero) implements Fill {}
  }

  private final SafetensorsWriter writer = new SafetensorsWriter();
  private final SplittableRandom seeds;

  /** Creates a file without tensors; the elements depend on the seed and the order of tensors. */
  RandomTensors(long seed) {
    seeds = new SplittableRandom(seed);
  }

  /** Adds a matrix. */
  RandomTensors matrix(String name, int rows, int columns, Fill fill) {
    return add(name, List.of((long) rows, (long) columns), fill);
  }

  /** Adds a vector of ones. */
  RandomTensors ones(String name, int elements) {
    return add(name, List.of((long) elements), new Fill.Ones());
  }

  /** Adds a vector. */
  RandomTensors vector(String name, int elements, Fill fill) {
    return add(name, List.of((long) elements), fill);
  }

  /** Writes all tensors. */
  void write(Path file) throws IOException {
    writer.write(file);
  }

  private RandomTensors add(String name, List<Long> shape, Fill fill) {
    SplittableRandom random = seeds.split();
    writer.add(name, StoredType.BF16, shape, output -> write(output, shape, fill, random));
    return this;
  }

  private static void write(
      SafetensorsWriter.Output output, List<Long> shape, Fill fill, SplittableRandom random)
      throws IOException {
    long elements = shape.stream().reduce(1L, Math::multiplyExact);
    long columns = shape.getLast();
    for (long i = 0; i < elements; i++) {
      float value =
          switch (fill) {
            case Fill.Ones ones -> 1;
            case Fill.Uniform uniform -> uniform(random, uniform.bound());
            case Fill.ZeroRows rows ->
                rows.zero().test((int) (i / columns)) ? 0 : uniform(random, rows.bound());
          };
      output.writeShort((short) (Float.floatToRawIntBits(value) >>> 16)); // cut, not rounded
    }
  }

  private static float uniform(SplittableRandom random, float bound) {
    return (float) ((random.nextDouble() * 2 - 1) * bound);
  }
}
