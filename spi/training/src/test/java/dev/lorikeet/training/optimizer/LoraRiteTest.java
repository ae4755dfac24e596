package dev.lorikeet.training.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Steps against those of the authors' own code in float64 (github.com/gkevinyen5418/LoRA-RITE,
 * written by {@code rite_steps.py} beside the data), and what the optimizer is named for.
 */
class LoraRiteTest {
  private static final Path STEPS =
      Path.of("src/test/resources/dev/lorikeet/training/optimizer/lora-rite.json");

  private static void set(MemorySegment to, JsonNode values) {
    for (int i = 0; i < values.size(); i++) {
      to.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values.get(i).asDouble());
    }
  }

  @Test
  void stepsAreTheAuthors() throws IOException {
    for (JsonNode run : new ObjectMapper().readTree(STEPS.toFile())) {
      LoraRite rite =
          new LoraRite(
              run.get("betas").get(0).asDouble(),
              run.get("betas").get(1).asDouble(),
              1e-6,
              run.get("decay").asDouble());
      try (Arena arena = Arena.ofConfined()) {
        List<FactorMemory> factors = new ArrayList<>();
        for (JsonNode shape : run.get("shapes")) {
          int rank = shape.get(0).asInt();
          factors.add(FactorMemory.allocate(arena, rank, shape.get(1).asInt(), LoraRite.SLOTS));
          factors.add(FactorMemory.allocate(arena, shape.get(2).asInt(), rank, LoraRite.SLOTS));
        }
        for (int f = 0; f < factors.size(); f++) {
          set(factors.get(f).values(), run.get("start").get(f));
        }
        double rate = run.get("lr").asDouble();
        for (int step = 1; step <= run.get("steps").size(); step++) {
          JsonNode expected = run.get("steps").get(step - 1);
          double squares = 0;
          for (int f = 0; f < factors.size(); f++) {
            set(factors.get(f).gradients(), expected.get("gradients").get(f));
          }
          for (int f = 0; f < factors.size(); f += 2) {
            squares += rite.squares(factors.get(f), factors.get(f + 1), 1);
          }
          for (int f = 0; f < factors.size(); f += 2) {
            rite.step(factors.get(f), factors.get(f + 1), rate, rate, 1, Math.sqrt(squares), step);
          }
          for (int f = 0; f < factors.size(); f++) {
            JsonNode values = expected.get("values").get(f);
            for (int i = 0; i < values.size(); i++) {
              assertEquals(
                  values.get(i).asDouble(),
                  factors.get(f).values().getAtIndex(ValueLayout.JAVA_FLOAT, i),
                  2e-5,
                  "step " + step + ", factor " + f + ", element " + i);
            }
          }
        }
      }
    }
  }

  @Test
  void pairsOfOneProductTakeOneStep() {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    int rank = 3;
    int in = 8;
    int out = 7;
    double[] a = gaussian(random, rank * in, 0.3);
    double[] b = gaussian(random, out * rank, 0.3);
    double[] mix = gaussian(random, rank * rank, 1);
    double[] unmix = SmallMatrix.pseudoinverse(mix, rank);
    double[] otherA = mixed(mix, a, rank, in);
    double[] otherB = SmallMatrix.times(b, unmix, out, rank);
    try (Arena arena = Arena.ofConfined()) {
      LoraRite rite = new LoraRite(0.9, 0.99, 1e-6, 0);
      FactorMemory[] one = factors(arena, a, b, rank, in, out);
      FactorMemory[] other = factors(arena, otherA, otherB, rank, in, out);
      for (int step = 1; step <= 5; step++) {
        double[] d = gaussian(random, out * in, 0.02);
        gradients(one, d, rank, in, out);
        gradients(other, d, rank, in, out);
        step(rite, one, step);
        step(rite, other, step);
        double[] product = product(one, rank, in, out);
        double[] otherProduct = product(other, rank, in, out);
        for (int i = 0; i < product.length; i++) {
          assertEquals(product[i], otherProduct[i], 1e-3, "seed " + seed + ", step " + step);
        }
      }
    }
  }

  private static double[] mixed(double[] mix, double[] a, int rank, int in) {
    double[] mixed = new double[rank * in];
    for (int r = 0; r < rank; r++) {
      for (int k = 0; k < rank; k++) {
        for (int i = 0; i < in; i++) {
          mixed[r * in + i] += mix[r * rank + k] * a[k * in + i];
        }
      }
    }
    return mixed;
  }

  private static void step(LoraRite rite, FactorMemory[] pair, int step) {
    double norm = Math.sqrt(rite.squares(pair[0], pair[1], 1));
    rite.step(pair[0], pair[1], 0.01, 0.01, 1, norm, step);
  }

  private static double[] gaussian(Random random, int count, double deviation) {
    return random.doubles(count).map(x -> deviation * random.nextGaussian()).toArray();
  }

  private static FactorMemory[] factors(
      Arena arena, double[] a, double[] b, int rank, int in, int out) {
    FactorMemory[] pair = {
      FactorMemory.allocate(arena, rank, in, LoraRite.SLOTS),
      FactorMemory.allocate(arena, out, rank, LoraRite.SLOTS)
    };
    set(pair[0].values(), a);
    set(pair[1].values(), b);
    return pair;
  }

  private static void set(MemorySegment to, double[] values) {
    for (int i = 0; i < values.length; i++) {
      to.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values[i]);
    }
  }

  /** Sets the gradients of both factors from that of their product, {@code [out, in]}. */
  private static void gradients(FactorMemory[] pair, double[] d, int rank, int in, int out) {
    for (int r = 0; r < rank; r++) {
      for (int i = 0; i < in; i++) {
        double sum = 0;
        for (int o = 0; o < out; o++) {
          sum += value(pair[1], o * rank + r) * d[o * in + i];
        }
        pair[0].gradients().setAtIndex(ValueLayout.JAVA_FLOAT, (long) r * in + i, (float) sum);
      }
      for (int o = 0; o < out; o++) {
        double sum = 0;
        for (int i = 0; i < in; i++) {
          sum += d[o * in + i] * value(pair[0], r * in + i);
        }
        pair[1].gradients().setAtIndex(ValueLayout.JAVA_FLOAT, (long) o * rank + r, (float) sum);
      }
    }
  }

  private static double value(FactorMemory factor, int index) {
    return factor.values().getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  private static double[] product(FactorMemory[] pair, int rank, int in, int out) {
    double[] product = new double[out * in];
    for (int o = 0; o < out; o++) {
      for (int r = 0; r < rank; r++) {
        for (int i = 0; i < in; i++) {
          product[o * in + i] += value(pair[1], o * rank + r) * value(pair[0], r * in + i);
        }
      }
    }
    return product;
  }
}
