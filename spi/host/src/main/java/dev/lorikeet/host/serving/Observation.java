package dev.lorikeet.host.serving;

import dev.lorikeet.model.HiddenObserver;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Shows hidden states to those requests of the current step that observe them, to each its own
 * positions. An observer that throws fails its own sequence. Used by the decoding thread alone;
 * costs nothing where nobody observes.
 */
final class Observation {
  /** The rows {@code [from, to)} of a step, which are tokens of a sequence that is observed. */
  private record Observed(Sequence sequence, int from, int to) {}

  private final List<Observed> observed = new ArrayList<>();
  private final Set<HiddenPoint> wanted = EnumSet.noneOf(HiddenPoint.class);

  void reset() {
    observed.clear();
    wanted.clear();
  }

  /** Adds a sequence whose tokens are the rows {@code [from, to)} of the step. */
  void add(Sequence sequence, int from, int to) {
    if (sequence.task().observer().onHidden().isPresent()) {
      observed.add(new Observed(sequence, from, to));
      wanted.addAll(sequence.task().observer().hiddenPoints());
    }
  }

  /** Returns whether a sequence of the step wants to see this. */
  boolean wants(HiddenPoint point) {
    return wanted.contains(point);
  }

  /**
   * Shows the rows of the step, before its sequences are advanced.
   *
   * @param rows {@code [>= tokens, hidden]}, F32
   */
  void show(HiddenPoint point, int layer, Tensor rows) {
    for (int i = 0; i < observed.size(); i++) {
      Sequence sequence = observed.get(i).sequence();
      Optional<HiddenObserver> observer = sequence.task().observer().onHidden();
      if (observer.isPresent()
          && !sequence.failed()
          && sequence.task().observer().hiddenPoints().contains(point)) {
        try {
          observer
              .get()
              .onHidden(
                  point,
                  layer,
                  sequence.computed(),
                  view(rows, observed.get(i).from(), observed.get(i).to()));
        } catch (Throwable e) {
          sequence.fail(GenerateTask.observerFailed("onHidden", e));
        }
      }
    }
  }

  private static Tensor view(Tensor rows, int from, int to) {
    MemorySegment memory =
        rows.segment()
            .asSlice(
                from * rows.rowStrideBytes(),
                (to - from - 1) * rows.rowStrideBytes() + rows.columns() * rows.type().bytes())
            .asReadOnly();
    return new Tensor(
        memory, rows.type(), to - from, rows.columns(), rows.rowStride(), rows.device());
  }
}
