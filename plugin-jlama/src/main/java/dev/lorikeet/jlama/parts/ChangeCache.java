package dev.lorikeet.jlama.parts;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What adapters change beside plain LoRA, made ready for one model when an adapter is first leased,
 * and kept for its next lease as long as there is room. Safe for any number of threads.
 */
public final class ChangeCache implements AutoCloseable {
  /*
   * Idea. Whatever multiplies or shifts outputs comes down to y + slope * y + offset, with y the module's output with
   * its own bias b and the adapter's product. With b' the adapter's bias, or b, and c = scaling * shift:
   *   magnitude m over the norm n of a row of W + s B A (DoRA)   slope = m / n - 1   offset = b' + c - (m / n) b
   *   scale l of the whole output (IA3)                          slope = l - 1       offset = l (b' - b) + c
   *   neither                                                    slope = 0           offset = b' - b + c
   * So the decoder knows two vectors for each module, and only the norms need the weights of the base model: they are
   * computed on the thread that loads the adapter, not on the one that decodes.
   *
   * Layout: vectors begin on cache lines, none straddles two pages; the pages come from the pool of keys, values and
   * adapters, and go back to it, least recently used first, when others want them and no lease is open.
   *
   * Cost: of DoRA the products of rank tokens with all weights, on one thread, once for each registration that is in
   * use; 8 bytes for each output feature of a changed module.
   */
  private static final int LINE = 64;

  private final ModelWeights model;
  private final PagePool pool;
  private final RowNorms norms = new RowNorms();
  private final PagePool.Registration pressure;

  private final Object computing = new Object();
  private final Object lock = new Object();
  private final Map<Long, Kept> byGeneration = new HashMap<>();
  private final LinkedHashMap<Long, Kept> idle = new LinkedHashMap<>();
  private boolean closed;

  /** Changes, and how many leases use them. */
  private static final class Kept {
    private final AdapterChanges changes;
    private int pins;

    Kept(AdapterChanges changes) {
      this.changes = changes;
    }
  }

  /**
   * Creates an empty cache.
   *
   * @param model the weights that adapters change; must outlive the cache
   * @param pool where vectors go; likewise
   */
  public ChangeCache(ModelWeights model, PagePool pool) {
    this.model = model;
    this.pool = pool;
    this.pressure = pool.onPressure(this::evict);
  }

  /**
   * Returns a lease with which a step can be computed: that of a plain adapter itself. May compute
   * for a while.
   *
   * @param lease which the returned one closes
   * @throws LorikeetException with code {@code POOL_EXHAUSTED} if there is no room now
   */
  public AdapterLease prepare(AdapterLease lease) {
    Optional<AdapterLease> ready = prepareAtOnce(lease);
    if (ready.isPresent()) {
      return ready.get();
    }
    synchronized (computing) {
      Optional<AdapterLease> meanwhile = prepareAtOnce(lease);
      if (meanwhile.isPresent()) {
        return meanwhile.get();
      }
      AdapterChanges changes = compute(lease);
      synchronized (lock) {
        byGeneration.put(lease.spec().generation(), new Kept(changes));
      }
      return prepareAtOnce(lease).orElseThrow();
    }
  }

  /** Returns the same if nothing has to be computed for it. */
  public Optional<AdapterLease> prepareAtOnce(AdapterLease lease) {
    if (lease.spec().isPlain()) {
      return Optional.of(lease);
    }
    long generation = lease.spec().generation();
    synchronized (lock) {
      Kept kept = byGeneration.get(generation);
      if (kept == null || closed) {
        return Optional.empty();
      }
      kept.pins++;
      idle.remove(generation);
      return Optional.of(new ChangedLease(lease, kept.changes, () -> unpin(generation, kept)));
    }
  }

  private void unpin(long generation, Kept kept) {
    synchronized (lock) {
      if (--kept.pins > 0 || closed) {
        return;
      }
      if (kept.changes.pages().length == 0) {
        byGeneration.remove(generation);
      } else {
        idle.put(generation, kept);
      }
    }
  }

  /** Frees pages of changes that nobody uses; called by the pool. */
  private int evict(int wanted) {
    List<int[]> victims = new ArrayList<>();
    int pages = 0;
    synchronized (lock) {
      while (pages < wanted && !idle.isEmpty()) {
        Map.Entry<Long, Kept> eldest = idle.pollFirstEntry();
        byGeneration.remove(eldest.getKey());
        victims.add(eldest.getValue().changes.pages());
        pages += eldest.getValue().changes.pages().length;
      }
    }
    victims.forEach(victim -> pool.free(victim, 0, victim.length));
    return pages;
  }

  private AdapterChanges compute(AdapterLease lease) {
    AdapterSpec spec = lease.spec();
    for (PartSpec part : spec.parts()) {
      if (lease.part(part.target(), part.kind()).isEmpty()) {
        throw new LorikeetException(
            Code.INTERNAL,
            "adapter '"
                + spec.id()
                + "': expected its lease to have the "
                + part.kind()
                + " of "
                + part.target()
                + " that its store describes, found none");
      }
    }
    List<Vectors> changed =
        changedOutputs(spec).stream().map(target -> vectors(lease, target)).toList();
    List<Optional<OutputChange>> outputs =
        new ArrayList<>(
            Collections.nCopies(
                changed.isEmpty() ? 0 : AdapterChanges.place(model.layers().size(), Projection.Q),
                Optional.empty()));
    int[] pages = store(changed, outputs);
    Set<Projection> projections = new HashSet<>();
    boolean experts = false;
    for (TargetSpec target : spec.targets()) {
      projections.add(target.target().projection());
      experts |= target.target().isExpert();
    }
    spec.parts().forEach(part -> projections.add(part.target().projection()));
    boolean tiedRows =
        model.isTied() && spec.parts().stream().anyMatch(part -> !part.indices().isEmpty());
    return new AdapterChanges(
        List.copyOf(outputs),
        pages,
        projections.contains(Projection.EMBED),
        projections.contains(Projection.LM_HEAD) || tiedRows,
        projections.contains(Projection.ROUTER),
        experts);
  }

  private static List<TargetModule> changedOutputs(AdapterSpec spec) {
    Set<TargetModule> changed = new HashSet<>();
    for (TargetSpec target : spec.targets()) {
      if (target.magnitude()) {
        changed.add(target.target());
      }
    }
    for (PartSpec part : spec.parts()) {
      if (part.kind() != PartSpec.Kind.ROWS) {
        changed.add(part.target());
      }
    }
    return changed.stream().sorted().toList();
  }

  /**
   * What is to be stored for a module.
   *
   * @param both slope and offset
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Vectors(TargetModule target, float[][] both) {}

  private Vectors vectors(AdapterLease lease, TargetModule target) {
    LayerWeights layer = model.layers().get(target.layer());
    Linear linear = layer.linear(target.projection());
    Optional<LoraWeights> lora = lease.weights(target);
    Optional<Tensor> magnitude = lora.flatMap(LoraWeights::magnitude);
    Optional<PartWeights> scale = lease.part(target, PartSpec.Kind.SCALE);
    Optional<PartWeights> bias = lease.part(target, PartSpec.Kind.BIAS);
    Optional<PartWeights> shift = lease.part(target, PartSpec.Kind.SHIFT);
    double scaling = lora.map(LoraWeights::scaling).orElse(1f);
    int out = linear.weight().rows();
    double[] norm = magnitude.isPresent() ? norms(lora.get(), linear.weight()) : new double[0];
    float[] slope = new float[out];
    float[] offset = new float[out];
    for (int j = 0; j < out; j++) {
      double own = linear.bias().isPresent() ? at(linear.bias().get(), j) : 0;
      double other = bias.isPresent() ? bias.get().get(0, j) : own;
      double shifted = shift.isPresent() ? scaling * shift.get().get(0, j) : 0;
      if (magnitude.isPresent()) {
        double gain = at(magnitude.get().segment(), j) / norm[j];
        slope[j] = (float) (gain - 1);
        offset[j] = (float) (other + shifted - gain * own);
      } else {
        double gain = scale.isPresent() ? scale.get().get(0, j) : 1;
        slope[j] = (float) (gain - 1);
        offset[j] = (float) (gain * (other - own) + shifted);
      }
    }
    return new Vectors(target, new float[][] {slope, offset});
  }

  private static double at(MemorySegment vector, int j) {
    return vector.get(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) j * Float.BYTES);
  }

  /** On the calling thread alone, with memory of its own. */
  private double[] norms(LoraWeights lora, WeightMatrix weight) {
    MatMul matMul = Kernels.get().matMul();
    Shard whole = new Shard(0, 1);
    try (ActivationPanel panel = new ActivationPanel(lora.rank(), weight.columns(), 1)) {
      return norms.adapted(
          lora,
          weight,
          lora.rank(),
          (w, x, count, y) -> {
            matMul.pack(panel, x, count, whole);
            matMul.multiply(w, panel, y, whole);
          });
    }
  }

  private int[] store(List<Vectors> changed, List<Optional<OutputChange>> outputs) {
    int pageBytes = pool.pageBytes();
    long end = 0;
    long[][] places = new long[changed.size()][2];
    for (int c = 0; c < places.length; c++) {
      for (int i = 0; i < 2; i++) {
        long bytes = (long) changed.get(c).both[i].length * Float.BYTES;
        if (bytes > pageBytes) {
          throw new LorikeetException(
              Code.TOO_LARGE,
              changed.get(c).target()
                  + ": expected vectors over its outputs of at most a page of "
                  + pageBytes
                  + " bytes, found "
                  + bytes
                  + "; open the pool with larger pages");
        }
        end = end / pageBytes == (end + bytes - 1) / pageBytes ? end : roundUp(end, pageBytes);
        places[c][i] = end;
        end = roundUp(end + bytes, LINE);
      }
    }
    int[] pages = new int[(int) (roundUp(end, pageBytes) / pageBytes)];
    if (!pool.allocate(PageOwner.OTHER, pages, 0, pages.length)) {
      throw new LorikeetException(
          Code.POOL_EXHAUSTED,
          "expected "
              + pages.length
              + " free pages for what an adapter multiplies outputs by, found: "
              + pool.stats());
    }
    for (int c = 0; c < places.length; c++) {
      MemorySegment[] stored = new MemorySegment[2];
      for (int i = 0; i < 2; i++) {
        float[] vector = changed.get(c).both[i];
        MemorySegment page = pool.page(pages[(int) (places[c][i] / pageBytes)]);
        stored[i] = page.asSlice(places[c][i] % pageBytes, (long) vector.length * Float.BYTES);
        MemorySegment.copy(vector, 0, stored[i], ValueLayout.JAVA_FLOAT, 0, vector.length);
      }
      TargetModule target = changed.get(c).target();
      outputs.set(
          AdapterChanges.place(target.layer(), target.projection()),
          Optional.of(new OutputChange(stored[0], stored[1])));
    }
    return pages;
  }

  private static long roundUp(long value, long unit) {
    return (value + unit - 1) / unit * unit;
  }

  /** Frees all pages; no step may be computed any more. */
  @Override
  public void close() {
    List<int[]> pages = new ArrayList<>();
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      byGeneration.values().forEach(kept -> pages.add(kept.changes.pages()));
      byGeneration.clear();
      idle.clear();
    }
    pressure.close();
    pages.forEach(some -> pool.free(some, 0, some.length));
  }
}
