package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.shape.Projection;
import java.util.Arrays;
import java.util.Optional;

/**
 * What the adapters of a step change beside plain LoRA, by token. Set by the decoding thread
 * between runs of its team, read by all workers.
 */
public final class StepChanges {
  /*
   * Idea. Few tokens have such adapters, so each has a chain of entries; a phase that works token by token after a
   * product looks at the head of the chain and is done if there is none. A mixture's entries follow one another, each
   * weighed: y becomes y + w (slope y + offset).
   * Cost: a load for each token and module where anybody has changes, nothing where nobody has.
   */
  private static final int NONE = -1;

  private final Elementwise elementwise = Kernels.get().elementwise();
  private final int[] heads;
  private int[] next = new int[64];
  private float[] weights = new float[64];
  private AdapterChanges[] changes = new AdapterChanges[64];
  private int entries;
  private boolean any;
  private boolean embedding;
  private boolean output;
  private boolean routers;
  private boolean experts;

  /**
   * Creates the changes of steps of up to so many tokens.
   *
   * @param maxTokens the most tokens
   */
  public StepChanges(int maxTokens) {
    heads = new int[maxTokens];
    Arrays.fill(heads, NONE);
  }

  /**
   * Takes the adapters of the layers to come.
   *
   * @throws IllegalArgumentException for a lease of an adapter that {@link ChangeCache#prepare} has
   *     not seen
   */
  public void begin(LoraBatch lora) {
    if (entries > 0) {
      Arrays.fill(heads, NONE);
      Arrays.fill(changes, 0, entries, null);
      entries = 0;
    }
    any = false;
    embedding = false;
    output = false;
    routers = false;
    experts = false;
    for (int s = lora.segments() - 1; s >= 0; s--) {
      AdapterLease lease = lora.adapter(s);
      if (lease instanceof ChangedLease changed) {
        take(changed.changes(), lora, s);
      } else if (!lease.spec().isPlain()) {
        throw new IllegalArgumentException(
            "adapter '"
                + lease.spec().id()
                + "': expected a lease that the decoder has prepared, since it is not plain LoRA");
      }
    }
  }

  private void take(AdapterChanges of, LoraBatch lora, int segment) {
    embedding |= of.changesEmbedding();
    output |= of.changesOutput();
    routers |= of.changesRouters();
    experts |= of.changesExperts();
    if (of.outputs().isEmpty()) {
      return;
    }
    any = true;
    for (int e = lora.segmentStart(segment); e < lora.segmentEnd(segment); e++) {
      if (entries == next.length) {
        next = Arrays.copyOf(next, 2 * entries);
        weights = Arrays.copyOf(weights, 2 * entries);
        changes = Arrays.copyOf(changes, 2 * entries);
      }
      int token = lora.token(e);
      next[entries] = heads[token];
      weights[entries] = lora.weight(e);
      changes[entries] = of;
      heads[token] = entries++;
    }
  }

  /** Changes the outputs of a projection of a layer, those of this shard's tokens. */
  public void apply(int layer, Projection projection, Rows y, int tokens, Shard shard) {
    if (!any) {
      return;
    }
    for (int t = shard.first(tokens); t < shard.end(tokens); t++) {
      for (int e = heads[t]; e != NONE; e = next[e]) {
        Optional<OutputChange> change = changes[e].output(layer, projection);
        if (change.isPresent()) {
          elementwise.addAffine(change.get().slope(), change.get().offset(), weights[e], y, t);
        }
      }
    }
  }

  /** Returns whether an adapter changes embeddings. */
  public boolean changesEmbedding() {
    return embedding;
  }

  /** Returns whether an adapter changes the output layer. */
  public boolean changesOutput() {
    return output;
  }

  /** Returns whether an adapter changes routers of experts. */
  public boolean changesRouters() {
    return routers;
  }

  /** Returns whether an adapter changes experts. */
  public boolean changesExperts() {
    return experts;
  }
}
