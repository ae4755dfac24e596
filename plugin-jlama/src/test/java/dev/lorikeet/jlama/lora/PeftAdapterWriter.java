package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.files.peft.PeftWriter;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;

/** Writes random PEFT adapters on q, v and down of all layers, F32. */
public final class PeftAdapterWriter {
  private static final float SCALING = 2;

  private PeftAdapterWriter() {}

  /** Writes an adapter whose weights are large enough to change the output. */
  public static Path write(Path directory, long seed, int rank, ModelShape shape) {
    Random random = new Random(seed);
    List<LoraWeights> weights = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (var projection : List.of(Projection.Q, Projection.V, Projection.DOWN)) {
        weights.add(
            LoraWeights.of(
                TargetModule.of(layer, projection),
                factor(random, rank, shape.inFeatures(projection)),
                factor(random, rank, shape.outFeatures(projection)),
                SCALING));
      }
    }
    try {
      new PeftWriter(shape, Optional.empty()).write(directory, weights);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return directory;
  }

  private static LoraFactor factor(Random random, int rank, int width) {
    float[] elements = new float[rank * width];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) (0.3 * random.nextGaussian());
    }
    long[] rows = IntStream.range(0, rank).mapToLong(r -> 4L * r * width).toArray();
    return new LoraFactor(
        ElementType.F32, width, 1, Device.HOST, MemorySegment.ofArray(elements), rows);
  }
}
