package dev.lorikeet.jlama.warmup;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.jlama.decoder.KernelReadiness;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.lang.System.Logger.Level;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Has the JVM compile the kernels that a model needs, in the background while it is opened. Once
 * for each kind of model in a process. Safe for use by any number of threads.
 */
public final class WarmUp implements KernelReadiness {
  /*
   * Idea. Until the JVM has compiled a kernel to its end, each vector of it is an object on the heap: the first step of
   * a model of 135 M parameters took 3 to 5 seconds, most of them for compiling the insides of the Vector API, which no
   * compiled kernel uses. So a daemon thread runs steps of a miniature of the model (Rehearsal), whose vectors are few,
   * until they are fast, and the first step waits for it. What one token at a time needs comes first; all kernels add
   * in the same order, so a step of many tokens can do with those and give the same bits. Deltas of adapters follow,
   * then the kernels for several tokens, after the first step so that they do not hold it up.
   *
   * Cost: one to two seconds of one processor. Measured on two cores, from a JVM's start to the first token of the
   * 135 M shape in BF16, in turns: 2.7 to 3.3 seconds instead of 4.3 to 5.9, the second request within 25 to 60 ms
   * instead of 540 to 920.
   */
  private static final System.Logger LOG = System.getLogger(WarmUp.class.getName());

  /** Smaller models are through their first steps before a warm-up is. */
  private static final long LEAST_PARAMETERS = 1_000_000;

  private static final long LONGEST_WAIT = TimeUnit.SECONDS.toNanos(4);
  private static final long LONGEST_RUN = TimeUnit.SECONDS.toNanos(10);
  private static final long FIRST_STEP = TimeUnit.SECONDS.toNanos(1);

  private static final Map<Kind, WarmUp> BY_KIND = new ConcurrentHashMap<>();

  private final CountDownLatch narrow = new CountDownLatch(1);
  private final CountDownLatch adapted = new CountDownLatch(1);
  private final CountDownLatch wide = new CountDownLatch(1);
  private final CountDownLatch ended = new CountDownLatch(1);
  private final CountDownLatch asked = new CountDownLatch(1);
  private final CountDownLatch askedForDeltas = new CountDownLatch(1);
  private final long start = System.nanoTime();

  /** What decides which kernels run, and which branches of them. */
  private record Kind(
      String storage,
      ElementType kvType,
      int group,
      boolean biased,
      Norm.Kind norm,
      Set<Norm.Place> norms,
      Norm.OfQueryAndKey queryKeyNorms,
      boolean rotated,
      boolean capped,
      Mlp mlp,
      boolean experts,
      boolean scaled) {
    static Kind of(Architecture a, String storage, ElementType kvType) {
      return new Kind(
          storage,
          kvType,
          a.shape().heads() / a.shape().kvHeads(),
          !a.biased().isEmpty(),
          a.norm().kind(),
          a.names().norms().keySet(),
          a.attention().norms(),
          a.attention().layers().getFirst().rope().isPresent(),
          a.attention().softCap().isPresent(),
          a.mlp(),
          a.experts().isPresent(),
          a.multipliers().residual() != 1);
    }
  }

  private WarmUp() {}

  /**
   * Begins to warm up for a model, unless that was done before or does not pay.
   *
   * @param storage how its matrices are stored, as {@code ModelWeights.storage()} names it
   * @param kvType how keys and values are stored
   */
  public static KernelReadiness begin(
      Architecture architecture, String storage, ElementType kvType) {
    if (!Kernels.get().onVectorApi() || parameters(architecture.shape()) < LEAST_PARAMETERS) {
      return READY;
    }
    Kind kind = Kind.of(architecture, storage, kvType);
    return BY_KIND.computeIfAbsent(
        kind, k -> started(Rehearsal.miniature(architecture), storage, kvType));
  }

  private static long parameters(ModelShape s) {
    long attention = (long) s.hidden() * (2L * s.queryWidth() + 2L * s.kvWidth());
    long layer = attention + 3L * s.hidden() * s.intermediate();
    return layer * s.layers() + (long) s.vocabulary() * s.hidden();
  }

  static WarmUp started(Architecture miniature, String storage, ElementType kvType) {
    WarmUp warmUp = new WarmUp();
    Thread thread = new Thread(() -> warmUp.run(miniature, storage, kvType), "lorikeet-warm-up");
    thread.setDaemon(true);
    thread.start();
    return warmUp;
  }

  private void run(Architecture miniature, String storage, ElementType kvType) {
    long end = start + LONGEST_RUN;
    try (Rehearsal rehearsal = new Rehearsal(miniature, storage, kvType)) {
      rehearsal.run(Rehearsal.ONE_BY_ONE, true, false, end);
      narrow.countDown();
      awaitFirstStep();
      rehearsal.run(Rehearsal.ONE_BY_ONE, true, true, end);
      adapted.countDown();
      rehearsal.run(Rehearsal.TOGETHER, false, false, end);
      wide.countDown();
      rehearsal.run(Rehearsal.TOGETHER, false, true, end);
    } catch (InterruptedException | RuntimeException | Error e) {
      // Requests do without; what is wrong with the model they will tell.
      LOG.log(Level.DEBUG, "warm-up ended", e);
    } finally {
      narrow.countDown();
      adapted.countDown();
      wide.countDown();
      ended.countDown();
    }
  }

  /** Leaves the processors to the first step, if one is near and can do without adapters. */
  private void awaitFirstStep() throws InterruptedException {
    if (asked.await(FIRST_STEP, TimeUnit.NANOSECONDS)) {
      var _ = askedForDeltas.await(FIRST_STEP / 4, TimeUnit.NANOSECONDS);
    }
  }

  @Override
  public boolean narrow(boolean withDeltas) {
    if (wide.getCount() == 0) {
      return false;
    }
    asked.countDown();
    if (withDeltas) {
      askedForDeltas.countDown();
    }
    try {
      long left = LONGEST_WAIT - (System.nanoTime() - start);
      var _ = (withDeltas ? adapted : narrow).await(left, TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return wide.getCount() > 0;
  }

  /** Waits until all is done, or given up. */
  void awaitAll() throws InterruptedException {
    ended.await();
  }
}
