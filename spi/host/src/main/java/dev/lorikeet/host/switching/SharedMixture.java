package dev.lorikeet.host.switching;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import java.util.ArrayList;
import java.util.List;

/**
 * A mixture of adapters, known by their generations, that may be the one all tokens of a batch
 * share. Reused; comparing allocates nothing.
 */
public final class SharedMixture {
  private long[] generations = new long[8];
  private float[] weights = new float[8];
  private int size = -1;

  /** Returns whether all tokens of a batch use the same adapters with the same weights. */
  static boolean isShared(LoraBatch batch) {
    int tokens = batch.tokens();
    if (batch.segments() == 0 || batch.entries() != batch.segments() * tokens) {
      return false;
    }
    for (int s = 0; s < batch.segments(); s++) {
      int start = batch.segmentStart(s);
      if (batch.segmentEnd(s) - start != tokens) {
        return false;
      }
      int bits = Float.floatToRawIntBits(batch.weight(start));
      for (int e = start + 1; e < start + tokens; e++) {
        if (Float.floatToRawIntBits(batch.weight(e)) != bits) {
          return false;
        }
      }
    }
    return true;
  }

  /** Takes the mixture of a shared batch. */
  void set(LoraBatch batch) {
    size = batch.segments();
    if (size > generations.length) {
      generations = new long[2 * size];
      weights = new float[2 * size];
    }
    for (int s = 0; s < size; s++) {
      generations[s] = batch.adapter(s).spec().generation();
      weights[s] = batch.weight(batch.segmentStart(s));
    }
  }

  /** Forgets the mixture: no batch is equal to it. */
  void clear() {
    size = -1;
  }

  /** Returns whether this is the mixture of a shared batch. */
  boolean matches(LoraBatch batch) {
    if (batch.segments() != size) {
      return false;
    }
    for (int s = 0; s < size; s++) {
      if (batch.adapter(s).spec().generation() != generations[s]
          || Float.floatToRawIntBits(batch.weight(batch.segmentStart(s)))
              != Float.floatToRawIntBits(weights[s])) {
        return false;
      }
    }
    return true;
  }

  /** Returns the mixture of a shared batch as shares of a merge. */
  public static List<MergePlan.Share> shares(LoraBatch batch) {
    List<MergePlan.Share> shares = new ArrayList<>();
    for (int s = 0; s < batch.segments(); s++) {
      shares.add(new MergePlan.Share(batch.adapter(s), batch.weight(batch.segmentStart(s))));
    }
    return shares;
  }
}
