package dev.lorikeet.host.serving;

import dev.lorikeet.host.telemetry.Telemetry;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * The running sequences: builds one batch per iteration of them and makes room for it by
 * preemption. Used by the decoding thread alone.
 */
final class Batching {
  /*
   * Idea: continuous batching (Orca, OSDI 2022) with chunked prefill (Sarathi, arXiv 2308.16369): one token of every
   * sequence that decodes, then prefill chunks in order of admission while the token budget lasts.
   *
   * Out of pages: when a running sequence needs a page and finds none, the policy names the sequence that gives its
   * pages back and waits again. That sequence keeps its leases, so that it goes on with the generation of weights it
   * began with, and its random sequence; keys and values are computed anew when it returns. Kernels give the same bits
   * whatever the batch, so its output is the one it would have had.
   *
   * Cost: no allocation per step.
   */
  private final Limits limits;
  private final StepRates rates;
  private final Telemetry telemetry;
  private final LongSupplier clock;
  private final StepRunner runner;
  private final AdmissionPolicy policy;
  private final Admission admission;
  private final List<Sequence> running = new ArrayList<>();
  private final List<Sequence> candidates = new ArrayList<>();
  private final List<Sequence> ended = new ArrayList<>();
  private int largestBatch;
  private long preemptions;

  Batching(
      Limits limits,
      StepRunner runner,
      AdmissionPolicy policy,
      Admission admission,
      StepRates rates,
      Telemetry telemetry,
      LongSupplier clock) {
    this.rates = rates;
    this.clock = clock;
    this.limits = limits;
    this.telemetry = telemetry;
    this.runner = runner;
    this.policy = policy;
    this.admission = admission;
  }

  List<Sequence> running() {
    return running;
  }

  /** Returns the sequences that the last step has ended. */
  List<Sequence> ended() {
    return ended;
  }

  int largestBatch() {
    return largestBatch;
  }

  /** Returns how often a sequence had to give its pages back. */
  long preemptions() {
    return preemptions;
  }

  /**
   * Runs one batch.
   *
   * @return the sequences that ended, whose completion is still to be run, with everything given
   *     back; the list is valid until the next step
   */
  List<Sequence> step() {
    ended.clear();
    plan();
    if (runner.isEmpty()) {
      return ended;
    }
    largestBatch = Math.max(largestBatch, runner.size());
    int tokens = limits.batchTokens() - runner.freeTokens();
    long start = clock.getAsLong();
    runner.run(ended);
    rates.measured(tokens, clock.getAsLong() - start);
    telemetry.step(runner.size(), tokens, runner.switchStats());
    policy.served(running);
    for (int i = 0; i < running.size(); i++) {
      running.get(i).publishPrefix();
    }
    for (int i = 0; i < ended.size(); i++) {
      running.remove(ended.get(i));
      ended.get(i).release();
    }
    return ended;
  }

  /** Returns whether the last step computed anything. */
  boolean progressed() {
    return !runner.isEmpty();
  }

  private void plan() {
    runner.begin();
    // Preemption changes the list of running sequences, so it is walked as it was.
    candidates.clear();
    for (int i = 0; i < running.size(); i++) {
      candidates.add(running.get(i)); // addAll would copy into an array first
    }
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
  }

  /**
   * Makes sure that a running sequence has pages for its next tokens, preempting others or itself
   * if need be.
   */
  private boolean secured(Sequence sequence, int count) {
    while (!sequence.kv().reserve(sequence.computed() + count)) {
      Sequence victim = policy.victim(running);
      preempt(victim);
      if (victim == sequence) {
        return false;
      }
    }
    return true;
  }

  private void preempt(Sequence victim) {
    preemptions++;
    runner.withdraw(victim);
    running.remove(victim);
    victim.preempt();
    victim.task().trace().preempted();
    admission.enqueueAgain(victim);
  }
}
