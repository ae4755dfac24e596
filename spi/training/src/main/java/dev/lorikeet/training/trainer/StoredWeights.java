package dev.lorikeet.training.trainer;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.learning.LearningModule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** The weights of an adapter in the element type in which they are to be stored. */
final class StoredWeights {
  private StoredWeights() {}

  /** Returns the weights themselves for F32, rounded copies otherwise. */
  static List<LoraWeights> of(LearningAdapter adapter, ElementType type) {
    List<LoraWeights> stored = new ArrayList<>();
    for (LearningModule module : adapter.modules()) {
      LoraWeights w = module.weights();
      if (type == ElementType.F32) {
        stored.add(w);
        continue;
      }
      LoraWeights factors =
          LoraWeights.of(w.target(), rounded(w.a(), type), rounded(w.b(), type), w.scaling());
      stored.add(w.magnitude().map(factors::withMagnitude).orElse(factors));
    }
    return stored;
  }

  private static LoraFactor rounded(LoraFactor factor, ElementType type) {
    long count = factor.memory().byteSize() / Float.BYTES;
    MemorySegment memory = Arena.ofAuto().allocate(count * type.bytes(), 64);
    for (long i = 0; i < count; i++) {
      type.write(memory, i * type.bytes(), factor.memory().getAtIndex(ValueLayout.JAVA_FLOAT, i));
    }
    return LoraFactor.contiguous(type, factor.rank(), factor.width(), factor.blocks(), memory);
  }
}
