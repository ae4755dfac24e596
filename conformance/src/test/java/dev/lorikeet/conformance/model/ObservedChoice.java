package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Passes a choice on, and shows a request's observer the hidden states, one row at a time. */
final class ObservedChoice implements Choice {
  private final Choice choice;
  private final RequestObserver observer;
  private final int layers;
  private final PlainTransformer.Sequence sequence;

  ObservedChoice(
      Choice choice, RequestObserver observer, int layers, PlainTransformer.Sequence sequence) {
    this.choice = choice;
    this.observer = observer;
    this.layers = layers;
    this.sequence = sequence;
  }

  @Override
  public void embedded(double[] embedding) {
    show(HiddenPoint.EMBEDDING, 0, embedding);
    choice.embedded(embedding);
  }

  @Override
  public List<Share> shares(int layer, double[] layerInput) {
    show(HiddenPoint.LAYER_INPUT, layer, layerInput);
    return choice.shares(layer, layerInput);
  }

  @Override
  public void finished(double[] hidden) {
    show(HiddenPoint.FINAL, layers, hidden);
    choice.finished(hidden);
  }

  private void show(HiddenPoint point, int layer, double[] values) {
    if (!observer.hiddenPoints().contains(point)) {
      return;
    }
    MemorySegment memory = Arena.ofAuto().allocate(4L * values.length, 4);
    for (int i = 0; i < values.length; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values[i]);
    }
    Tensor row = Tensor.host(memory.asReadOnly(), ElementType.F32, 1, values.length);
    try {
      observer.onHidden().ifPresent(seer -> seer.onHidden(point, layer, sequence.length(), row));
    } catch (RuntimeException e) {
      throw new LorikeetException(Code.INVALID_REQUEST, "onHidden: " + e, e);
    }
  }
}
