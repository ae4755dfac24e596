package dev.lorikeet.jlama.training;

import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** A PEFT adapter of float32 in double precision, written as the formula is. */
final class ReferenceAdapter implements ReferenceForward.Deltas {
  final Map<String, double[]> parameters;
  private final double scaling;

  ReferenceAdapter(Path directory, double scaling) {
    this.parameters = read(directory.resolve("adapter_model.safetensors"));
    this.scaling = scaling;
  }

  /** Returns all tensors of a file of float32. */
  static Map<String, double[]> read(Path file) {
    Map<String, double[]> tensors = new TreeMap<>();
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsFile.map(file, arena)
          .forEach(
              tensor -> {
                double[] values = new double[(int) (tensor.bytes().byteSize() / Float.BYTES)];
                for (int i = 0; i < values.length; i++) {
                  values[i] =
                      tensor.bytes().get(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) i * Float.BYTES);
                }
                tensors.put(tensor.name(), values);
              });
    }
    return tensors;
  }

  private double[] get(String name) {
    return Objects.requireNonNull(parameters.get(name), name);
  }

  /** Adds the delta of a token, times a weight. */
  void addWeighted(int layer, Projection projection, double weight, double[] x, double[] y) {
    String module = "base_model.model." + TargetModule.of(layer, projection).moduleName();
    double[] a = get(module + ".lora_A.weight");
    double[] b = get(module + ".lora_B.weight");
    int rank = a.length / x.length;
    for (int r = 0; r < rank; r++) {
      double h = 0;
      for (int i = 0; i < x.length; i++) {
        h += a[r * x.length + i] * x[i];
      }
      for (int o = 0; o < y.length; o++) {
        y[o] += weight * scaling * b[o * rank + r] * h;
      }
    }
  }

  @Override
  public void embedded(int token, double[] embedding) {}

  @Override
  public void layerInput(int layer, int token, double[] input) {}

  @Override
  public void add(int layer, Projection projection, int token, double[] x, double[] y) {
    addWeighted(layer, projection, 1, x, y);
  }
}
