package dev.lorikeet.bench.adapters;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.shape.ModelShape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Everything that a run of {@code bench adapters} found; the shape of its JSON. */
record AdaptersReport(
    String benchmark,
    String started,
    Machine machine,
    Setup setup,
    List<Cell> cells,
    @Nullable Criterion criterion,
    @Nullable Soak soak,
    @Nullable String plot) {

  /**
   * What was run.
   *
   * @param policy the base model's admission policy
   * @param sequences the most sequences of a batch
   * @param hot how many adapters the pool holds
   * @param distinct how many adapters differ; the others are hard links to them
   * @param load share of the saturated rate at which requests arrive in the open loop
   */
  record Setup(
      String model,
      ModelShape shape,
      int rank,
      long adapterBytes,
      long poolBytes,
      String policy,
      int sequences,
      int hot,
      int distinct,
      int promptTokens,
      int tokens,
      int requests,
      int rounds,
      double load,
      long seed) {}

  /**
   * One number of adapters under one kind of traffic, in one round.
   *
   * @param registerSeconds how long all registrations took
   * @param saturated as fast as it goes
   * @param poisson at random moments, at a share of that
   * @param memory when both were done
   */
  record Cell(
      int round,
      int registered,
      Traffic traffic,
      double registerSeconds,
      Load.Result saturated,
      Load.Result poisson,
      Memory memory) {}

  /**
   * Memory and what the store did for it.
   *
   * @param residentBytes of the process, mapped weights included
   * @param anonymousBytes of the process, without what files back
   * @param heapBytes used by the Java heap, garbage included
   * @param residentAdapters adapters in the pool
   * @param adapterPages pages that they take
   * @param kvCachePages pages of keys and values, with no request under way
   * @param pages pages of the pool
   */
  record Memory(
      long residentBytes,
      long anonymousBytes,
      long heapBytes,
      int residentAdapters,
      int adapterPages,
      int kvCachePages,
      int pages,
      long hits,
      long loads,
      long evictions) {}

  /**
   * Throughput with the most adapters over that with few, median of the rounds.
   *
   * @param distinctFew how many different adapters a full batch is expected to use, with few
   * @param distinctMost the same with the most
   * @param memoryBytesPerSecond measured bandwidth of memory
   * @param bound what the median could be if reading the additional adapters once a step at that
   *     bandwidth were all that they cost
   */
  record Criterion(
      String statement,
      double median,
      double min,
      double max,
      double atLeast,
      boolean holds,
      double distinctFew,
      double distinctMost,
      double memoryBytesPerSecond,
      double bound) {}

  /**
   * Steady traffic for a long time.
   *
   * @param seconds how long
   * @param residentBytesPerMinute slope of a line through the samples after the first tenth
   * @param samples resident bytes by second
   * @param before when it began, after a warm-up
   * @param after when all requests were served
   */
  record Soak(
      double seconds,
      int registered,
      double residentBytesPerMinute,
      Load.Result result,
      List<Sample> samples,
      Memory before,
      Memory after) {}

  /** One look at the memory. */
  record Sample(double second, long residentBytes, long anonymousBytes) {}
}
