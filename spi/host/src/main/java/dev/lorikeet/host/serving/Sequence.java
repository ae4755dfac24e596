package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.host.kv.KvPages;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * One request on its way through queue and batch: its tokens, how many of them have been computed,
 * what it holds and where its output goes. Fields are the decoding thread's, but for the flag that
 * any thread sets to cancel and what the constructor sets.
 */
final class Sequence {
  /** Where the weights of a waiting sequence's adapters are. */
  enum AdapterState {
    /** Not asked for yet. */
    ABSENT,
    /** A loader thread acquires the leases. */
    LOADING,
    /** The leases are here. */
    LEASED
  }

  /** For how many generated tokens there is room from the start. */
  static final int ROOM = 1024;

  private final Ticket ticket;
  private final Selection selection;
  private final List<String> adapters;
  private final Task task;
  private final Optional<RoutingContextState> routing;
  private final int promptLength;
  private final KvPages kv;
  private int[] tokens;
  private int length;
  private int computed;
  private int cachedTokens;
  private List<AdapterLease> leases = List.of();
  private Optional<List<Long>> generations = Optional.empty();
  private Optional<LorikeetException> failure = Optional.empty();
  private AdapterState adapterState = AdapterState.ABSENT;
  private boolean finished;
  private Optional<Runnable> completion = Optional.empty();
  private long startedNanos;

  /**
   * What the queue knows of a request.
   *
   * @param arrival its number, in the order of submission
   * @param submittedNanos when it was submitted
   * @param deadlineNanos when it is late; {@link Long#MAX_VALUE} for never
   * @param priority requests of higher priority go first
   * @param tenant on whose account it runs
   * @param cancelled set by any thread
   */
  record Ticket(
      long arrival,
      long submittedNanos,
      long deadlineNanos,
      int priority,
      String tenant,
      AtomicBoolean cancelled) {

    boolean isPast(long nowNanos) {
      return deadlineNanos != Long.MAX_VALUE && nowNanos - deadlineNanos >= 0;
    }

    /** Returns the failure of a request that is past its deadline. */
    LorikeetException late() {
      return new LorikeetException(
          Code.DEADLINE_EXCEEDED,
          "the request took longer than its timeout of "
              + Duration.ofNanos(deadlineNanos - submittedNanos));
    }
  }

  Sequence(
      Ticket ticket,
      int[] prompt,
      Selection selection,
      Task task,
      Optional<RoutingContextState> routing,
      KvPages kv) {
    this.ticket = ticket;
    this.tokens = Arrays.copyOf(prompt, prompt.length + Math.min(task.mostTokensToCome(), ROOM));
    this.length = prompt.length;
    this.promptLength = prompt.length;
    this.selection = selection;
    this.adapters = selection.adapters();
    this.task = task;
    this.routing = routing;
    this.kv = kv;
  }

  Selection selection() {
    return selection;
  }

  /** Returns the adapters to lease, in the order in which the selection counts them. */
  List<String> adapters() {
    return adapters;
  }

  Task task() {
    return task;
  }

  Optional<RoutingContextState> routing() {
    return routing;
  }

  /** Returns whether its router must see each token before the next is computed. */
  boolean oneByOne() {
    return routing.isPresent() && routing.get().oneByOne();
  }

  KvPages kv() {
    return kv;
  }

  int priority() {
    return ticket.priority();
  }

  String tenant() {
    return ticket.tenant();
  }

  long arrival() {
    return ticket.arrival();
  }

  long submittedNanos() {
    return ticket.submittedNanos();
  }

  /** Returns when the first token of the prompt was computed. */
  long startedNanos() {
    return startedNanos;
  }

  boolean isPast(long nowNanos) {
    return ticket.isPast(nowNanos);
  }

  long deadlineNanos() {
    return ticket.deadlineNanos();
  }

  int promptLength() {
    return promptLength;
  }

  int[] tokens() {
    return tokens;
  }

  /** Returns how many tokens are known: prompt and generated. */
  int length() {
    return length;
  }

  /** Returns how many of them have keys and values. */
  int computed() {
    return computed;
  }

  int remaining() {
    return length - computed;
  }

  void started(long nowNanos) {
    if (startedNanos == 0) {
      startedNanos = nowNanos;
    }
  }

  void advance(int count) {
    computed += count;
  }

  void append(int token) {
    if (length == tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.max(16, 2 * length));
    }
    tokens[length++] = token;
  }

  /**
   * Forgets keys and values, so that they are computed anew when the sequence is admitted again.
   */
  void preempt() {
    kv.release();
    computed = 0;
    routing.ifPresent(RoutingContextState::restart);
  }

  /**
   * Takes what the prefix cache has of this sequence, so that it need not be computed; called with
   * its adapters leased and nothing held. The last known token is always computed, for its logits.
   */
  void reusePrefix() {
    if (!computesAll()) {
      PrefixKey.of(ticket.tenant(), selection, generations.orElseThrow())
          .ifPresent(key -> computed = kv.share(key, tokens, length - 1));
    }
  }

  /** Returns whether something is wanted of each position, so that none may be skipped. */
  private boolean computesAll() {
    return task.wantsAllLogits() || task.observer().onHidden().isPresent();
  }

  /** Returns how many tokens {@link #reusePrefix} would find, or would have found when leased. */
  int cachedTokens() {
    return cachedTokens;
  }

  private void peekPrefix() {
    cachedTokens =
        computesAll()
            ? 0
            : PrefixKey.of(ticket.tenant(), selection, generations.orElseThrow())
                .map(key -> kv.peek(key, tokens, length - 1))
                .orElse(0);
  }

  /** Undoes {@link #reusePrefix}. */
  void returnPrefix() {
    kv.release();
    computed = 0;
  }

  /** Lets others use what has been computed, unless something may be wrong with it. */
  void publishPrefix() {
    if (failure.isEmpty()) {
      kv.publish(tokens, computed);
    }
  }

  AdapterState adapterState() {
    return adapterState;
  }

  void loading() {
    adapterState = AdapterState.LOADING;
  }

  List<AdapterLease> leases() {
    return leases;
  }

  /**
   * Takes leases over; false, with the leases closed, if the sequence began on other generations of
   * its adapters.
   */
  boolean lease(List<AdapterLease> acquired) {
    leases = acquired; // at once, so that they are closed whatever happens
    adapterState = AdapterState.LEASED;
    List<Long> acquiredGenerations = acquired.stream().map(l -> l.spec().generation()).toList();
    if (generations.isPresent() && !generations.get().equals(acquiredGenerations)) {
      releaseLeases();
      return false;
    }
    generations = Optional.of(acquiredGenerations);
    if (ticket.deadlineNanos() != Long.MAX_VALUE) {
      peekPrefix();
    }
    return true;
  }

  void releaseLeases() {
    List<AdapterLease> held = leases;
    leases = List.of();
    AdapterLoader.close(held);
    adapterState = AdapterState.ABSENT;
    if (startedNanos == 0) {
      generations = Optional.empty();
    }
  }

  /** Marks a failure that ends the sequence after the current step. */
  void fail(LorikeetException reason) {
    if (failure.isEmpty()) {
      failure = Optional.of(reason);
    }
  }

  boolean failed() {
    return failure.isPresent();
  }

  /** Sets what tells the request of its success, once the sequence has given everything back. */
  void complete(Runnable action) {
    completion = Optional.of(action);
  }

  Optional<Runnable> completion() {
    return completion;
  }

  /** Returns why the sequence must end now, if it must. */
  Optional<LorikeetException> interruption(long nowNanos) {
    if (failure.isPresent()) {
      return failure;
    }
    if (ticket.cancelled().get()) {
      return Optional.of(
          new LorikeetException(Code.CANCELLED, "the request was ticket.cancelled()"));
    }
    if (isPast(nowNanos)) {
      return Optional.of(ticket.late());
    }
    return Optional.empty();
  }

  /** Gives everything back; idempotent. */
  void release() {
    finished = true;
    try {
      kv.release();
    } finally {
      releaseLeases();
    }
  }

  /** Returns whether the sequence has given everything back and takes nothing any more. */
  boolean finished() {
    return finished;
  }
}
