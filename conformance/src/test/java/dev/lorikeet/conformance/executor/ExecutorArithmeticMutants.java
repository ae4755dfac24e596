package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** LoRA executors with one fault each in what every delta is made of: rules X1 to X3. */
final class ExecutorArithmeticMutants {
  private ExecutorArithmeticMutants() {}

  static List<Mutant> all() {
    return List.of(
        executor("scaling left out", rules("X1"), rules(), NoScaling::new),
        executor("weight left out", rules("X1"), rules(), NoWeight::new),
        executor("outputs overwritten, not added to", rules("X1"), rules(), Overwrites::new),
        executor("B read as if it were not transposed", rules("X1"), rules(), Transposed::new),
        executor("each segment one token short", rules("X1"), rules(), OffByOne::new),
        executor("weights kept by name, not by generation", rules("X1"), rules(), StaleByName::new),
        executor(
            "the shrunken vector rounded to BF16",
            rules("X2"),
            rules("X11", "X12", "X19"),
            RoundsToBf16::new),
        executor("sums kept in F16", rules("X2"), rules("X11", "X12", "X19"), SumsInF16::new),
        executor(
            "F16 weights read as BF16", rules("X3"), rules("X2", "X11", "X19"), F16AsBf16::new));
  }

  private static class NoScaling extends ReferenceExecutor {
    NoScaling(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(LoraWeights.of(w.target(), w.a(), w.b(), 1), weight, token, x, y);
    }
  }

  private static class NoWeight extends ReferenceExecutor {
    NoWeight(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(w, 1, token, x, y);
    }
  }

  private static class Overwrites extends ReferenceExecutor {
    Overwrites(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      for (int o = 0; o < y.columns(); o++) {
        set(y, token, o, 0);
      }
      super.expand(w, factor, h, y, token);
    }
  }

  private static class Transposed extends ReferenceExecutor {
    Transposed(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      LoraFactor b = w.b();
      for (int r = 0; r < h.length; r++) {
        for (int o = 0; o < b.rowLength(); o++) {
          int at = o * h.length + r;
          float value = element(b, at / b.rowLength(), at % b.rowLength());
          int column = b.rowStart(r) + o;
          set(y, token, column, element(y, token, column) + factor * value * h[r]);
        }
      }
    }
  }

  private static class OffByOne extends RewritingExecutor {
    OffByOne(Workers workers) {
      super(workers);
    }

    @Override
    LoraBatch rewritten(LoraBatch batch) {
      LoraBatch other = new LoraBatch().reset(batch.tokens());
      for (int s = 0; s < batch.segments(); s++) {
        other.beginSegment(batch.adapter(s));
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s) - 1; e++) {
          other.add(batch.token(e), batch.weight(e));
        }
      }
      return other;
    }
  }

  private static class StaleByName extends ReferenceExecutor {
    private final Map<String, LoraWeights> kept = new HashMap<>();
    private LoraBatch batch = new LoraBatch();

    StaleByName(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch given, Tensor x, List<Tensor> y) {
      batch = given;
      super.addDelta(targets, given, x, y);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      String name = "";
      for (int s = 0; s < batch.segments(); s++) {
        if (batch.adapter(s).weights(w.target()).filter(w::equals).isPresent()) {
          name = batch.adapter(s).spec().id() + w.target() + w.rank();
        }
      }
      LoraWeights used;
      synchronized (kept) {
        used = kept.computeIfAbsent(name, n -> w);
      }
      super.entry(used, weight, token, x, y);
    }
  }

  private static class RoundsToBf16 extends ReferenceExecutor {
    RoundsToBf16(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      return ElementCodec.round(ElementType.BF16, super.shrink(a, r, x, token));
    }
  }

  private static class SumsInF16 extends ReferenceExecutor {
    SumsInF16(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = super.shrink(a, r, x, token);
      return Math.abs(sum) > 60_000 || Float.isNaN(sum)
          ? sum
          : ElementCodec.round(ElementType.F16, sum);
    }
  }

  private static class F16AsBf16 extends ReferenceExecutor {
    F16AsBf16(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(
          LoraWeights.of(w.target(), misread(w.a()), misread(w.b()), w.scaling()),
          weight,
          token,
          x,
          y);
    }

    private static LoraFactor misread(LoraFactor f) {
      ElementType type = f.type() == ElementType.F16 ? ElementType.BF16 : f.type();
      long[] offsets = IntStream.range(0, f.rank()).mapToLong(f::rowOffset).toArray();
      return new LoraFactor(type, f.width(), f.blocks(), f.device(), f.memory(), offsets);
    }
  }
}
