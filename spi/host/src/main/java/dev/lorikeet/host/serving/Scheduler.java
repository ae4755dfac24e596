package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.kv.PrefixCache;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelStats;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;

/**
 * Decides, once per iteration, which sequences make up the batch. One decoding thread does
 * everything; other threads only leave messages.
 */
public final class Scheduler implements AutoCloseable {
  /*
   * An iteration: take messages; end what was cancelled or is late; admit (see Admission and AdmissionPolicy); run one
   * batch (see Batching); hand out tokens.
   *
   * Cost: no locks and no allocation per token; submission and cancellation are one enqueue and one unpark.
   */
  private static final long RETRY_NANOS = 5_000_000;

  private static final String END =
      "; the model has ended: close it, then it can be opened again in this process";

  private static final System.Logger LOGGER = System.getLogger(Scheduler.class.getName());

  private final StepRunner runner;
  private final AdapterLoader loader;
  private final Optional<PrefixCache> prefixes;
  private final LongSupplier clock;
  private final AdmissionPolicy policy;
  private final Admission admission;
  private final Batching batching;
  private final DeadlineForecast forecast;
  private final ConcurrentLinkedQueue<Runnable> inbox = new ConcurrentLinkedQueue<>();
  private final Thread thread;
  private volatile boolean closing;

  /** Why the thread ended, unless it was told to. */
  private volatile Optional<LorikeetException> failure = Optional.empty();

  /** The reason until a better one is made, for which there may be no memory. */
  private final Optional<LorikeetException> unknown =
      Optional.of(new LorikeetException(Code.INTERNAL, "the decoding thread failed" + END));

  /** Whether nobody takes messages any more, so that whoever leaves one has to take it. */
  private volatile boolean ended;

  // What the decoding thread publishes after each step; each count by itself, so that it is free.
  private volatile int running;
  private volatile long steps;
  private volatile long prefillTokens;
  private volatile long decodeTokens;
  private volatile int largestBatch;
  private volatile int kvCachePages;

  /**
   * Creates a scheduler whose thread is yet to be started.
   *
   * @param clock nanoseconds from any origin, as {@link System#nanoTime}
   */
  Scheduler(
      Limits limits,
      AdmissionPolicy policy,
      StepRunner runner,
      AdapterLoader loader,
      Optional<PrefixCache> prefixes,
      Telemetry telemetry,
      LongSupplier clock) {
    this.prefixes = prefixes;
    this.runner = runner;
    this.loader = loader;
    this.clock = clock;
    this.policy = policy;
    this.admission = new Admission(limits, policy, loader, this::post);
    StepRates rates = new StepRates();
    this.batching = new Batching(limits, runner, policy, admission, rates, telemetry, clock);
    this.forecast =
        new DeadlineForecast(
            limits, policy, rates, prefixes.isPresent() ? runner.blockTokens() : 0);
    this.thread = Thread.ofPlatform().name("lorikeet-decoder").daemon().unstarted(this::loop);
  }

  /** Starts the decoding thread. */
  void start() {
    thread.start();
  }

  /**
   * Puts a sequence into the queue.
   *
   * @throws LorikeetException with code {@code QUEUE_FULL} or {@code CLOSED}
   */
  void submit(Sequence sequence) {
    if (!admission.takePlace()) {
      throw new LorikeetException(
          Code.QUEUE_FULL, "the queue holds " + admission.places() + " requests and takes no more");
    }
    if (closing) {
      admission.returnPlace();
      throw refusal();
    }
    post(() -> enqueue(sequence));
    // The thread may have ended between the check and the message: then nobody takes it any more.
    if (ended) {
      drainAfterEnd();
    }
  }

  private void enqueue(Sequence sequence) {
    try {
      forecast.arrived(sequence);
      admission.enqueue(sequence);
    } catch (RuntimeException | Error e) {
      sequence.task().fail(ending(e)); // it may be nowhere yet
      throw e;
    }
  }

  /** Makes the decoding thread look at cancelled sequences. */
  void wake() {
    LockSupport.unpark(thread);
  }

  ModelStats stats() {
    return ModelStats.builder()
        .queued(admission.places())
        .running(running)
        .steps(steps)
        .prefillTokens(prefillTokens)
        .decodeTokens(decodeTokens)
        .largestBatch(largestBatch)
        .kvCachePages(kvCachePages)
        .build();
  }

  /** Returns how often a sequence had to give its pages back; for the decoding thread. */
  long preemptions() {
    return batching.preemptions();
  }

  /** Returns how the decoding thread stands. */
  Health health() {
    Optional<LorikeetException> reason = failure;
    if (reason.isPresent()) {
      return Health.failed(reason.get());
    }
    return closing ? Health.closed() : Health.healthy();
  }

  /** Returns whether the caller is the decoding thread. */
  boolean isDecodingThread() {
    return Thread.currentThread().equals(thread);
  }

  private void post(Runnable message) {
    inbox.add(message);
    LockSupport.unpark(thread);
  }

  /** Returns why no request is taken any more. */
  private LorikeetException refusal() {
    return failure
        .map(reason -> new LorikeetException(reason.code(), reason.getMessage(), reason))
        .orElseGet(() -> new LorikeetException(Code.CLOSED, "the model was closed"));
  }

  private void loop() {
    try {
      while (!closing) {
        if (!iterate()) {
          runner.rest();
          rest();
        }
      }
    } catch (Throwable e) {
      // Whatever it was, nobody knows the state of the decoder after it.
      failure = unknown;
      LorikeetException reason = ending(e);
      failure = Optional.of(reason);
      LOGGER.log(System.Logger.Level.ERROR, "a model has ended: " + reason, e);
    } finally {
      closing = true;
      ended = true;
      drainAfterEnd();
    }
  }

  /** Returns what requests are told that fail with the model. */
  private static LorikeetException ending(Throwable e) {
    return e instanceof LorikeetException known
        ? new LorikeetException(known.code(), known.getMessage() + END, known)
        : new LorikeetException(Code.INTERNAL, "the decoding thread failed: " + e + END, e);
  }

  /**
   * Runs one iteration; returns false if nothing could be computed. Called by the decoding thread,
   * or by a test in place of it.
   */
  boolean iterate() {
    takeMessages();
    endInterrupted();
    endHopeless();
    admission.admit(batching.running());
    boolean progressed = !batching.running().isEmpty() && step();
    if (!progressed) {
      publish();
    }
    return progressed;
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
    Thread.interrupted(); // an observer may have left it, and then the thread would never rest
    if (closing || !inbox.isEmpty()) {
      return;
    }
    if (admission.size() == 0 && batching.running().isEmpty()) {
      LockSupport.park(this);
      return;
    }
    long now = clock.getAsLong();
    long nanos = admission.waitsForLoads() ? Long.MAX_VALUE : RETRY_NANOS;
    for (int i = 0; i < admission.size(); i++) {
      long deadline = admission.get(i).deadlineNanos();
      if (deadline != Long.MAX_VALUE) {
        nanos = Math.min(nanos, deadline - now);
      }
    }
    if (nanos == Long.MAX_VALUE) {
      LockSupport.park(this);
    } else if (nanos > 0) {
      LockSupport.parkNanos(this, nanos);
    }
  }

  private void endInterrupted() {
    if (admission.size() == 0 && batching.running().isEmpty()) {
      return;
    }
    long now = clock.getAsLong();
    for (int i = 0; i < admission.size(); i++) {
      Optional<LorikeetException> reason = admission.get(i).interruption(now);
      if (reason.isPresent()) {
        end(admission.remove(i--), reason.get());
      }
    }
    List<Sequence> running = batching.running();
    for (int i = 0; i < running.size(); i++) {
      Optional<LorikeetException> reason = running.get(i).interruption(now);
      if (reason.isPresent()) {
        end(running.remove(i--), reason.get());
      }
    }
  }

  private void endHopeless() {
    if (admission.size() == 0) {
      return;
    }
    long now = clock.getAsLong();
    List<Sequence> running = batching.running();
    for (int i = forecast.hopeless(now, admission, running);
        i >= 0;
        i = forecast.hopeless(now, admission, running)) {
      Sequence sequence = admission.remove(i);
      end(sequence, forecast.refusal(sequence));
    }
  }

  /**
   * Gives back what a sequence holds, and only then tells its request, so that whoever waits for it
   * finds the pages free.
   */
  private void end(Sequence sequence, LorikeetException failure) {
    try {
      sequence.release();
      forget(sequence);
      admission.pagesReturned();
      publish();
    } finally {
      sequence.task().fail(failure);
    }
  }

  /** Lets everybody who notes something of sequences forget one that has ended. */
  private void forget(Sequence sequence) {
    policy.ended(sequence);
    forecast.ended(sequence);
    runner.forget(sequence);
  }

  /** Runs one batch; returns false if no sequence could take part for want of pages. */
  private boolean step() {
    List<Sequence> ended = batching.step();
    if (!batching.progressed()) {
      return false;
    }
    if (!ended.isEmpty()) {
      admission.pagesReturned();
      prefixes.ifPresent(PrefixCache::trim);
    }
    for (int i = 0; i < ended.size(); i++) {
      forget(ended.get(i));
    }
    publish();
    for (int i = 0; i < ended.size(); i++) {
      ended.get(i).completion().orElseThrow().run();
    }
    return true;
  }

  private void publish() {
    running = batching.running().size();
    steps = runner.steps();
    prefillTokens = runner.prefillTokens();
    decodeTokens = runner.decodeTokens();
    largestBatch = batching.largestBatch();
    kvCachePages = runner.kvCachePages();
  }

  /** Ends all there are when the decoding thread is gone or going. */
  private synchronized void drainAfterEnd() {
    LorikeetException reason = refusal();
    for (Runnable message = inbox.poll(); message != null; message = inbox.poll()) {
      anyway(message);
    }
    while (!batching.running().isEmpty()) {
      endAnyway(batching.running().removeLast(), reason);
    }
    while (admission.size() > 0) {
      endAnyway(admission.remove(admission.size() - 1), reason);
    }
    for (Sequence sequence : batching.ended()) {
      endAnyway(sequence, reason); // of no effect, unless it was not told of its own end
    }
    publish();
  }

  private void endAnyway(Sequence sequence, LorikeetException reason) {
    anyway(() -> end(sequence, reason));
  }

  private static void anyway(Runnable action) {
    try {
      action.run();
    } catch (Throwable e) {
      LOGGER.log(System.Logger.Level.ERROR, "a request could not give everything back", e);
    }
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
    ended = true;
    drainAfterEnd();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
