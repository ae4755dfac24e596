package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;
import static dev.lorikeet.conformance.executor.ReferenceExecutor.element;
import static dev.lorikeet.conformance.executor.ReferenceExecutor.set;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.executor.LearningExecutor.MakesGradients;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** LoRA executors whose gradients have one fault each in what is added: rules T1 to T7. */
final class GradientMutants {
  private GradientMutants() {}

  static Mutant learner(String fault, Set<String> by, Set<String> also, MakesGradients makes) {
    return executor(fault, by, also, workers -> new LearningExecutor(workers, makes));
  }

  static List<Mutant> all() {
    List<Mutant> all = new ArrayList<>();
    all.addAll(sums());
    all.addAll(shapes());
    all.addAll(GradientConductMutants.all());
    return all;
  }

  private static List<Mutant> sums() {
    return List.of(
        learner("scaling left out of dx", rules("T1"), rules("T5"), NoScaling::new),
        learner("dx overwritten, not added to", rules("T1"), rules("T5"), OverwritesInput::new),
        learner("gradients overwritten, not added to", rules("T2"), rules("T5"), Overwrites::new),
        learner("the gradient of B laid out as B lies", rules("T2"), rules("T5"), Transposes::new),
        learner("weights left out of the factors", rules("T2"), rules("T5"), NoWeight::new),
        learner("a weight's gradient times itself", rules("T3"), rules("T5"), TimesWeight::new),
        learner("the first module's weights alone", rules("T3"), rules("T5"), FirstModule::new),
        learner(
            "the shrunken gradient rounded to BF16", rules("T4"), rules("T5", "T18"), Rounds::new));
  }

  private static class NoScaling extends ReferenceGradients {
    NoScaling(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addInput(LoraWeights w, float scale, float[] g, Tensor dx, int token) {
      super.addInput(w, scale / w.scaling(), g, dx, token);
    }
  }

  private static class OverwritesInput extends ReferenceGradients {
    OverwritesInput(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addInput(LoraWeights w, float scale, float[] g, Tensor dx, int token) {
      for (int i = 0; i < dx.columns(); i++) {
        set(dx, token, i, 0);
      }
      super.addInput(w, scale, g, dx, token);
    }
  }

  private static class Overwrites extends ReferenceGradients {
    Overwrites(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
      for (int i = 0; i < to.columns(); i++) {
        set(to, r, i, 0);
      }
      super.addA(a, r, factor, x, token, to);
    }
  }

  private static class Transposes extends ReferenceGradients {
    Transposes(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addB(LoraFactor b, int o, float scale, float[] h, Tensor dy, int token, Tensor to) {
      int ranks = b.rank() / b.blocks();
      int first = o / b.rowLength() * ranks;
      for (int c = 0; c < ranks; c++) {
        int at = c * b.width() + o;
        add(to, at / ranks, at % ranks, scale * h[first + c] * element(dy, token, o));
      }
    }
  }

  private static class NoWeight extends ReferenceGradients {
    NoWeight(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float factorScale(LoraWeights w, LoraBatch batch, int e, int shards) {
      return w.scaling();
    }
  }

  private static class TimesWeight extends ReferenceGradients {
    TimesWeight(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addWeight(
        LoraWeights w, float weight, int module, float[] g, float[] h, Tensor dw, int e) {
      float before = element(dw, e, 0);
      super.addWeight(w, weight, module, g, h, dw, e);
      set(dw, e, 0, before + weight * (element(dw, e, 0) - before));
    }
  }

  private static class FirstModule extends ReferenceGradients {
    FirstModule(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addWeight(
        LoraWeights w, float weight, int module, float[] g, float[] h, Tensor dw, int e) {
      if (module == 0) {
        super.addWeight(w, weight, module, g, h, dw, e);
      }
    }
  }

  private static class Rounds extends ReferenceGradients {
    Rounds(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float[] outputs(LoraFactor b, Tensor dy, int token) {
      float[] g = super.outputs(b, dy, token);
      for (int r = 0; r < g.length; r++) {
        g[r] = ElementCodec.round(ElementType.BF16, g[r]);
      }
      return g;
    }
  }

  private static List<Mutant> shapes() {
    return List.of(
        learner(
            "the last column dropped where sizes are odd",
            rules("T6"),
            rules("T4", "T5"),
            DropsOdd::new),
        learner("gradients of ranks above 128 cut off", rules("T6"), rules(), CutsRanks::new),
        learner(
            "F16 weights taken for BF16 on the way back",
            rules("T6"),
            rules("T4", "T9"),
            F16AsBf16::new),
        learner(
            "gradients of all blocks from the first feature",
            rules("T7"),
            rules("T5"),
            IgnoresBlocks::new));
  }

  private static class DropsOdd extends ReferenceGradients {
    DropsOdd(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
      int last = a.rowLength() - 1;
      float before = element(to, r, last);
      super.addA(a, r, factor, x, token, to);
      if (last % 2 == 0) {
        set(to, r, last, before);
      }
    }
  }

  private static class CutsRanks extends ReferenceGradients {
    CutsRanks(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
      if (r < 128) {
        super.addA(a, r, factor, x, token, to);
      }
    }
  }

  private static class F16AsBf16 extends ReferenceGradients {
    F16AsBf16(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float[] outputs(LoraFactor f, Tensor dy, int token) {
      ElementType type = f.type() == ElementType.F16 ? ElementType.BF16 : f.type();
      long[] offsets = IntStream.range(0, f.rank()).mapToLong(f::rowOffset).toArray();
      return super.outputs(
          new LoraFactor(type, f.width(), f.blocks(), f.device(), f.memory(), offsets), dy, token);
    }
  }

  private static class IgnoresBlocks extends ReferenceGradients {
    IgnoresBlocks(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
      for (int i = 0; i < a.rowLength(); i++) {
        add(to, r, i, factor * element(x, token, i));
      }
    }
  }
}
