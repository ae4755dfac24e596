package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.host.serving.AdapterLoader.Outcome;
import dev.lorikeet.host.serving.Sequence.AdapterState;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * The waiting queue: gets sequences their adapters and pages, in the order of the policy, and lets
 * them into the batch. Used by the decoding thread alone, but for {@link #takePlace} and {@link
 * #places}.
 */
final class Admission {
  /*
   * Idea: admission by pages (vLLM, arXiv 2309.06180; S-LoRA, arXiv 2311.03285). A sequence is admitted when its
   * adapters are leased and the pool has pages for all its tokens so far and one more; where layers have windows, for
   * those that the tokens hold at once.
   *
   * The door: the first sequence in the order of the policy that finds no room, for its tokens or for its adapters,
   * closes the door behind it, so that large requests do not starve. A sequence whose adapter is being loaded lets
   * others pass. At most as many waiting sequences as the batch can hold, or LEAST_TRIED, are looked at in a round, so
   * that a long queue does not pin the store.
   *
   * When nothing runs and the first sequence still finds no room, the other waiting ones give up their leases. A
   * sequence that could not fit into the empty pool was refused when it was submitted, so the queue always moves.
   *
   * Cost: a scan of the queue per admission.
   */
  private static final int LEAST_TRIED = 8;

  private enum Readiness {
    READY,
    LETS_OTHERS_PASS,
    CLOSES_THE_DOOR
  }

  private final Limits limits;
  private final AdmissionPolicy policy;
  private final AdapterLoader loader;
  private final Consumer<Runnable> mailbox;
  private final List<Sequence> waiting = new ArrayList<>();
  private final AtomicInteger places = new AtomicInteger();
  private int loads;
  private boolean noRoomForAdapters;

  /** Those that the current round has tried, and those whose adapters found no room. */
  private final Set<Sequence> tried = Collections.newSetFromMap(new IdentityHashMap<>());

  private final Set<Sequence> deniedRoom = Collections.newSetFromMap(new IdentityHashMap<>());

  /**
   * Creates an empty queue.
   *
   * @param mailbox hands what loader threads have to tell to the decoding thread
   */
  Admission(
      Limits limits, AdmissionPolicy policy, AdapterLoader loader, Consumer<Runnable> mailbox) {
    this.limits = limits;
    this.policy = policy;
    this.loader = loader;
    this.mailbox = mailbox;
  }

  /** Takes a place in the queue for a sequence that is to be enqueued; from any thread. */
  boolean takePlace() {
    if (places.incrementAndGet() <= limits.queue()) {
      return true;
    }
    places.decrementAndGet();
    return false;
  }

  /** Gives a place back that no sequence took; from any thread. */
  void returnPlace() {
    places.decrementAndGet();
  }

  /** Returns how many sequences wait, those on their way to the queue included. */
  int places() {
    return places.get();
  }

  /** Adds a sequence for which a place was taken, where it stands by priority and arrival. */
  void enqueue(Sequence sequence) {
    int at = waiting.size();
    while (at > 0 && AdmissionPolicy.ARRIVAL.compare(waiting.get(at - 1), sequence) > 0) {
      at--;
    }
    waiting.add(at, sequence);
    policy.enqueued(sequence);
    if (sequence.adapters().isEmpty()) {
      sequence.lease(List.of());
    }
  }

  /** Adds a preempted sequence, whether the queue is full or not. */
  void enqueueAgain(Sequence sequence) {
    places.incrementAndGet();
    enqueue(sequence);
  }

  int size() {
    return waiting.size();
  }

  /** Returns a waiting sequence; they stand in the order of priority, then arrival. */
  Sequence get(int index) {
    return waiting.get(index);
  }

  Sequence remove(int index) {
    Sequence sequence = waiting.remove(index);
    deniedRoom.remove(sequence);
    places.decrementAndGet();
    policy.dequeued(sequence);
    return sequence;
  }

  /** Returns whether only the end of a load can change what the queue waits for. */
  boolean waitsForLoads() {
    return loads > 0 && !noRoomForAdapters;
  }

  /** Somebody gave pages back. */
  void pagesReturned() {
    noRoomForAdapters = false;
  }

  /** Moves sequences from the queue to {@code running} while there is room. */
  void admit(List<Sequence> running) {
    if (waiting.isEmpty()) {
      return;
    }
    tried.clear();
    for (int tries = 0;
        tries < Math.max(LEAST_TRIED, limits.batchSequences())
            && running.size() < limits.batchSequences();
        tries++) {
      int at = policy.next(waiting, running, tried);
      if (at < 0) {
        return;
      }
      Sequence sequence = waiting.get(at);
      tried.add(sequence);
      switch (leased(sequence, running)) {
        case LETS_OTHERS_PASS -> {
          continue;
        }
        case CLOSES_THE_DOOR -> {
          return;
        }
        case READY -> {}
      }
      sequence.reusePrefix();
      if (!findsRoom(sequence, running) && !makeRoomFor(sequence, running)) {
        sequence.returnPrefix();
        return;
      }
      sequence.kv().admitted();
      remove(at);
      policy.admitted(sequence, waiting);
      running.add(sequence);
      sequence.task().trace().admitted(sequence.computed(), sequence.remaining());
    }
  }

  /** Gets a sequence its leases at once if it can, or starts to load them. */
  private Readiness leased(Sequence sequence, List<Sequence> running) {
    switch (sequence.adapterState()) {
      case LEASED -> {
        return Readiness.READY;
      }
      case LOADING -> {
        return whileLoading(sequence);
      }
      case ABSENT -> {}
    }
    List<String> adapters = sequence.adapters();
    Optional<List<AdapterLease>> resident = loader.acquireIfResident(adapters);
    if (resident.isPresent()) {
      return take(sequence, resident.get()) ? Readiness.READY : Readiness.LETS_OTHERS_PASS;
    }
    if (noRoomForAdapters) {
      if (!running.isEmpty() || loads > 0) {
        return whileLoading(sequence);
      }
      releaseWaitingLeases(sequence);
    }
    noRoomForAdapters = false;
    loads++;
    sequence.loading();
    loader.load(
        adapters,
        sequence.task().trace(),
        outcome -> mailbox.accept(() -> loaded(sequence, outcome)));
    return whileLoading(sequence);
  }

  /** Others may pass, unless there was no room before: then they would take it again. */
  private Readiness whileLoading(Sequence sequence) {
    return deniedRoom.contains(sequence) ? Readiness.CLOSES_THE_DOOR : Readiness.LETS_OTHERS_PASS;
  }

  private boolean take(Sequence sequence, List<AdapterLease> leases) {
    deniedRoom.remove(sequence);
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
          AdapterLoader.close(leases);
        } else {
          take(sequence, leases);
        }
      }
      case Outcome.NoRoom noRoom -> {
        noRoomForAdapters = true;
        if (!sequence.finished()) {
          deniedRoom.add(sequence);
          sequence.releaseLeases();
        }
      }
      case Outcome.Failed(LorikeetException reason) -> {
        sequence.releaseLeases();
        sequence.fail(reason);
      }
    }
  }

  /** When nothing runs, waiting sequences give up what the first of them needs. */
  private boolean makeRoomFor(Sequence sequence, List<Sequence> running) {
    if (!running.isEmpty()) {
      return false;
    }
    releaseWaitingLeases(sequence);
    return findsRoom(sequence, running);
  }

  private boolean findsRoom(Sequence sequence, List<Sequence> running) {
    int promised = 0;
    for (int i = 0; i < running.size(); i++) {
      promised += running.get(i).kv().promised();
    }
    return sequence
        .kv()
        .admit(sequence.length() + 1, sequence.computed(), limits.batchTokens(), promised);
  }

  private void releaseWaitingLeases(Sequence except) {
    for (Sequence other : waiting) {
      if (other != except && other.adapterState() == AdapterState.LEASED) {
        other.releaseLeases();
      }
    }
  }
}
