package dev.lorikeet.jlama.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.jlama.serving.AdapterLoader.Outcome;
import dev.lorikeet.jlama.serving.Sequence.AdapterState;
import dev.lorikeet.jlama.telemetry.Telemetry;
import dev.lorikeet.model.ModelStats;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Decides, once per iteration, which sequences make up the batch. One decoding thread does
 * everything; other threads only leave messages.
 */
public final class Scheduler implements AutoCloseable {
  /*
   * Idea: continuous batching (Orca, OSDI 2022) with chunked prefill (Sarathi, arXiv 2308.16369) and admission by pages (vLLM, arXiv 2309.06180; S-LoRA, arXiv 2311.03285).
   *
   * An iteration: take messages; end what was cancelled or is late; admit; run one batch; hand out tokens.
   *
   * Admission is in order of priority, then arrival. A sequence is admitted when its adapters are leased and the pool has pages for all its tokens so far and one more. The first
   * waiting sequence that finds no pages closes the door behind it, so that large requests do not starve. A sequence whose adapter is being loaded lets others pass. At most
   * as many waiting sequences as the batch can hold have leases or loads under way, so that a long queue does not pin the store.
   *
   * The batch: one token of every sequence that decodes, then prefill chunks in order of admission while the token budget lasts.
   *
   * Out of pages: a running sequence that needs a page and finds none makes the sequence of lowest priority, among those the latest, give its pages back and wait again; it keeps its leases
   * (so that it goes on with the generation of weights it began with) and its random sequence, and computes its keys and values anew when it returns. Kernels give the same bits
   * whatever the batch, so its output is the one it would have had. When nothing runs and the first waiting sequence still finds no room, the other waiting ones give up their leases. A sequence
   * that could not fit into the empty pool was refused when it was submitted, so the queue always moves once others give back what they hold.
   *
   * Cost: no locks and no allocation per token apart from the tokens handed out; submission and cancellation are one enqueue and one unpark.
   */
  private static final long RETRY_NANOS = 5_000_000;
  private static final Comparator<Sequence> ORDER =
      Comparator.comparingInt(Sequence::priority).reversed().thenComparingLong(Sequence::arrival);

  private final Limits limits;
  private final StepRunner runner;
  private final AdapterLoader loader;
  private final Telemetry telemetry;
  private final ConcurrentLinkedQueue<Runnable> inbox = new ConcurrentLinkedQueue<>();
  private final AtomicInteger queued = new AtomicInteger();
  private final List<Sequence> waiting = new ArrayList<>();
  private final List<Sequence> running = new ArrayList<>();
  private final List<Sequence> candidates = new ArrayList<>();
  private final List<Sequence> ended = new ArrayList<>();
  private final Thread thread;
  private volatile boolean closing;
  private volatile ModelStats stats = new ModelStats(0, 0, 0, 0, 0, 0, 0);
  private int loads;
  private boolean noRoomForAdapters;
  private int largestBatch;

  Scheduler(Limits limits, StepRunner runner, AdapterLoader loader, Telemetry telemetry) {
    this.limits = limits;
    this.runner = runner;
    this.loader = loader;
    this.telemetry = telemetry;
    this.thread = Thread.ofPlatform().name("lorikeet-decoder").daemon().start(this::loop);
  }

  /**
   * Puts a sequence into the queue.
   *
   * @throws LorikeetException with code {@code QUEUE_FULL} or {@code CLOSED}
   */
  void submit(Sequence sequence) {
    if (queued.incrementAndGet() > limits.queue()) {
      queued.decrementAndGet();
      throw new LorikeetException(
          Code.QUEUE_FULL, "the queue holds " + limits.queue() + " requests and takes no more");
    }
    if (closing) {
      queued.decrementAndGet();
      throw closed();
    }
    post(() -> waiting.add(sequence));
    // The thread may have ended between the check and the message: then nobody takes it any more.
    if (closing && !thread.isAlive()) {
      drainAfterEnd();
    }
  }

  /** Makes the decoding thread look at cancelled sequences. */
  void wake() {
    LockSupport.unpark(thread);
  }

  ModelStats stats() {
    ModelStats s = stats;
    return new ModelStats(
        queued.get(),
        s.running(),
        s.steps(),
        s.prefillTokens(),
        s.decodeTokens(),
        s.largestBatch(),
        s.kvCachePages());
  }

  private void post(Runnable message) {
    inbox.add(message);
    LockSupport.unpark(thread);
  }

  private static LorikeetException closed() {
    return new LorikeetException(Code.CLOSED, "the model was closed");
  }

  private void loop() {
    try {
      while (!closing) {
        takeMessages();
        endInterrupted(waiting, true);
        endInterrupted(running, false);
        admit();
        if (running.isEmpty() || !step()) {
          publish();
          rest();
        }
      }
    } catch (Throwable e) {
      closing = true;
      LorikeetException failure =
          new LorikeetException(Code.INTERNAL, "the decoding thread failed: " + e, e);
      failAll(failure);
      throw e;
    } finally {
      failAll(closed());
      publish();
    }
  }

  private void takeMessages() {
    for (Runnable message = inbox.poll(); message != null; message = inbox.poll()) {
      message.run();
    }
  }

  /**
   * Nothing can run: waits for a message, the next deadline, or a while if pages held by others are
   * missing.
   */
  private void rest() {
    if (closing || !inbox.isEmpty()) {
      return;
    }
    if (waiting.isEmpty() && running.isEmpty()) {
      LockSupport.park(this);
      return;
    }
    long now = System.nanoTime();
    long nanos = loads > 0 && !noRoomForAdapters ? Long.MAX_VALUE : RETRY_NANOS;
    for (Sequence sequence : waiting) {
      if (sequence.deadlineNanos() != Long.MAX_VALUE) {
        nanos = Math.min(nanos, sequence.deadlineNanos() - now);
      }
    }
    if (nanos == Long.MAX_VALUE) {
      LockSupport.park(this);
    } else if (nanos > 0) {
      LockSupport.parkNanos(this, nanos);
    }
  }

  private void endInterrupted(List<Sequence> sequences, boolean areWaiting) {
    if (sequences.isEmpty()) {
      return;
    }
    long now = System.nanoTime();
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      Optional<LorikeetException> reason = sequence.interruption(now);
      if (reason.isPresent()) {
        sequences.remove(i--);
        end(sequence, areWaiting, reason);
      }
    }
  }

  /**
   * Gives back what a sequence holds, and only then tells its request, so that whoever waits for it
   * finds the pages free.
   */
  private void end(Sequence sequence, boolean wasWaiting, Optional<LorikeetException> failure) {
    sequence.release();
    if (wasWaiting) {
      queued.decrementAndGet();
    }
    noRoomForAdapters = false;
    publish();
    failure.ifPresent(sequence.task()::fail);
  }

  private void admit() {
    if (waiting.isEmpty()) {
      return;
    }
    waiting.sort(ORDER);
    int examined = 0;
    for (int i = 0; i < waiting.size() && running.size() < limits.batchSequences(); i++) {
      if (examined++ == limits.batchSequences()) {
        return;
      }
      Sequence sequence = waiting.get(i);
      if (!leased(sequence)) {
        continue;
      }
      if (!sequence.kv().reserve(sequence.length() + 1) && !makeRoomFor(sequence)) {
        return;
      }
      waiting.remove(i--);
      queued.decrementAndGet();
      running.add(sequence);
      sequence.task().trace().admitted(sequence.remaining());
    }
  }

  /**
   * Returns whether the sequence has its leases; if not, gets them at once or starts to load them.
   */
  private boolean leased(Sequence sequence) {
    switch (sequence.adapterState()) {
      case LEASED -> {
        return true;
      }
      case LOADING -> {
        return false;
      }
      case ABSENT -> {}
    }
    List<String> adapters = sequence.selection().adapters();
    Optional<List<AdapterLease>> resident = loader.acquireIfResident(adapters);
    if (resident.isPresent()) {
      return take(sequence, resident.get());
    }
    if (noRoomForAdapters && !(running.isEmpty() && loads == 0)) {
      return false;
    }
    if (noRoomForAdapters) {
      releaseWaitingLeases(sequence);
    }
    noRoomForAdapters = false;
    loads++;
    sequence.loading();
    loader.load(
        adapters, sequence.task().trace(), outcome -> post(() -> loaded(sequence, outcome)));
    return false;
  }

  private boolean take(Sequence sequence, List<AdapterLease> leases) {
    if (sequence.lease(leases)) {
      return true;
    }
    sequence.fail(
        new LorikeetException(
            Code.POOL_EXHAUSTED,
            "the request was preempted for want of pages, and its adapter was registered anew meanwhile"));
    return false;
  }

  private void loaded(Sequence sequence, Outcome outcome) {
    loads--;
    switch (outcome) {
      case Outcome.Leased(List<AdapterLease> leases) -> {
        if (sequence.finished()) {
          leases.forEach(AdapterLease::close);
        } else {
          take(sequence, leases);
        }
      }
      case Outcome.NoRoom noRoom -> {
        noRoomForAdapters = true;
        sequence.releaseLeases();
      }
      case Outcome.Failed(LorikeetException reason) -> {
        sequence.releaseLeases();
        sequence.fail(reason);
      }
    }
  }

  /** When nothing runs, waiting sequences give up what the first of them needs. */
  private boolean makeRoomFor(Sequence sequence) {
    if (!running.isEmpty()) {
      return false;
    }
    releaseWaitingLeases(sequence);
    return sequence.kv().reserve(sequence.length() + 1);
  }

  private void releaseWaitingLeases(Sequence except) {
    for (Sequence other : waiting) {
      if (other != except && other.adapterState() == AdapterState.LEASED) {
        other.releaseLeases();
      }
    }
  }

  /** Runs one batch; returns false if no sequence could take part for want of pages. */
  private boolean step() {
    runner.begin();
    // Preemption changes the list of running sequences, so it is walked as it was.
    candidates.clear();
    candidates.addAll(running);
    for (int i = 0; i < candidates.size(); i++) {
      Sequence sequence = candidates.get(i);
      if (sequence.remaining() == 1 && running.contains(sequence) && secured(sequence, 1)) {
        runner.add(sequence, 1);
      }
    }
    for (int i = 0; i < candidates.size() && runner.freeTokens() > 0; i++) {
      Sequence sequence = candidates.get(i);
      int chunk = runner.chunk(sequence);
      if (sequence.remaining() > 1
          && chunk > 0
          && running.contains(sequence)
          && secured(sequence, chunk)) {
        runner.add(sequence, chunk);
      }
    }
    if (runner.isEmpty()) {
      return false;
    }
    largestBatch = Math.max(largestBatch, runner.size());
    ended.clear();
    telemetry.step(runner.size(), limits.batchTokens() - runner.freeTokens());
    runner.run(ended);
    for (int i = 0; i < ended.size(); i++) {
      running.remove(ended.get(i));
      ended.get(i).release();
      noRoomForAdapters = false;
    }
    publish();
    for (int i = 0; i < ended.size(); i++) {
      ended.get(i).completion().orElseThrow().run();
    }
    return true;
  }

  /**
   * Makes sure that a running sequence has pages for its next tokens, preempting others or itself
   * if need be.
   */
  private boolean secured(Sequence sequence, int count) {
    while (!sequence.kv().reserve(sequence.computed() + count)) {
      Sequence victim = victim();
      preempt(victim);
      if (victim == sequence) {
        return false;
      }
    }
    return true;
  }

  private Sequence victim() {
    Sequence victim = running.getFirst();
    for (Sequence candidate : running) {
      if (ORDER.compare(candidate, victim) > 0) {
        victim = candidate;
      }
    }
    return victim;
  }

  private void preempt(Sequence victim) {
    runner.withdraw(victim);
    running.remove(victim);
    victim.preempt();
    victim.task().trace().preempted();
    waiting.add(victim);
    queued.incrementAndGet();
  }

  private void publish() {
    stats =
        new ModelStats(
            0,
            running.size(),
            runner.steps(),
            runner.prefillTokens(),
            runner.decodeTokens(),
            largestBatch,
            runner.kvCachePages());
  }

  private void failAll(LorikeetException reason) {
    takeMessages();
    for (Sequence sequence : running) {
      end(sequence, false, Optional.of(reason));
    }
    running.clear();
    for (Sequence sequence : waiting) {
      end(sequence, true, Optional.of(reason));
    }
    waiting.clear();
  }

  private synchronized void drainAfterEnd() {
    failAll(closed());
  }

  /** Ends all requests, then the decoding thread; idempotent. */
  @Override
  public void close() {
    closing = true;
    boolean interrupted = false;
    while (thread.isAlive()) {
      LockSupport.unpark(thread);
      try {
        thread.join(10);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    loader.close();
    drainAfterEnd();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
