package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.adapter.WeightSink;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Finds out which of an adapter's matrices are copies of the base model's, as PEFT writes them
 * beside adapters of embeddings, and hands everything on. For one thread.
 */
final class CopyCheck implements WeightSink {
  private final List<PartSpec> parts;
  private final BaseMatrices base;
  private final WeightSink next;
  private final Set<Integer> differing = new HashSet<>();

  CopyCheck(List<PartSpec> parts, BaseMatrices base, WeightSink next) {
    this.parts = parts;
    this.base = base;
    this.next = next;
  }

  @Override
  public void accept(
      int target, TargetSpec spec, Factor factor, int firstLine, int lines, MemorySegment data) {
    next.accept(target, spec, factor, firstLine, lines, data);
  }

  @Override
  public void acceptPart(int part, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    next.acceptPart(part, spec, firstRow, rows, data);
    boolean isWhole = spec.kind() == PartSpec.Kind.ROWS && spec.indices().isEmpty();
    if (!isWhole || (!differing.contains(part) && !base.hasRows(spec, firstRow, rows, data))) {
      differing.add(part);
    }
  }

  /** Returns the parts that are no copies, once all has been read. */
  List<PartSpec> others() {
    List<PartSpec> others = new ArrayList<>();
    for (int p = 0; p < parts.size(); p++) {
      if (differing.contains(p)) {
        others.add(parts.get(p));
      }
    }
    return List.copyOf(others);
  }
}
