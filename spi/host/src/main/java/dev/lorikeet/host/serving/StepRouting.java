package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Which adapters the tokens of the current step use: mixtures that requests state, token routers
 * asked once before the first layer, layer routers asked at every layer. Used by the decoding
 * thread alone. A router that fails marks the sequences that use it; the others go on.
 */
final class StepRouting implements StepAdapters {
  private static final System.Logger LOGGER = System.getLogger(StepRouting.class.getName());

  /** The average length of generations follows about as many of the last ones. */
  private static final long AVERAGED_GENERATIONS = 32;

  private final int layers;
  private final int hidden;
  private final RouterPolicy policy;
  private final LoraBatch batch = new LoraBatch();
  private final EntryTable table = new EntryTable();
  private final List<Sequence> sequences = new ArrayList<>();
  private final Observation observation = new Observation();
  private final RoutingOutput decisions = new RoutingOutput();
  private final int[] firstRows;
  private final int[] asked;
  private final Set<Sequence> withoutRouter = Collections.newSetFromMap(new IdentityHashMap<>());
  private final List<RoutingInput> inputs = new ArrayList<>();
  private final List<RoutingInput> inputsWithContext = new ArrayList<>();
  private final MemorySegment rows;
  private final MemorySegment contexts;
  private int tokens;
  private int askedCount;
  private int fixedEntries;
  private boolean perLayer;
  private double usualTokens;
  private long generations;
  private boolean wantsFinalHidden;

  StepRouting(Arena arena, Limits limits, int layers, int hidden, RouterPolicy policy) {
    this.firstRows = new int[limits.batchSequences() + 1];
    this.asked = new int[limits.batchSequences()];
    this.layers = layers;
    this.hidden = hidden;
    this.policy = policy;
    this.rows = arena.allocate((long) limits.batchTokens() * hidden * Float.BYTES, 64);
    this.contexts = arena.allocate((long) limits.batchTokens() * hidden * Float.BYTES, 64);
  }

  void reset() {
    table.clear();
    sequences.clear();
    observation.reset();
    tokens = 0;
    perLayer = false;
    wantsFinalHidden = false;
  }

  /** Adds a sequence whose step tokens follow those of the sequences before. */
  void add(Sequence sequence, int count) {
    sequences.add(sequence);
    firstRows[sequences.size()] = tokens + count;
    perLayer |=
        sequence.selection() instanceof Selection.ByLayer && !withoutRouter.contains(sequence);
    report(sequence).ifPresent(MixtureReport::begin);
    observation.add(sequence, tokens, tokens + count);
    tokens += count;
    wantsFinalHidden |= sequence.oneByOne();
  }

  @Override
  public LoraBatch beforeLayers(Tensor embeddings) {
    observation.show(HiddenPoint.EMBEDDING, 0, embeddings);
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      switch (sequence.selection()) {
        case Selection.Fixed fixed ->
            add(sequence, fixed.mixture(), firstRows[i], firstRows[i + 1]);
        case Selection.PerToken perToken -> addPerToken(i, perToken);
        case Selection.ByToken byToken -> {
          if (isFirstOf(i, byToken.router())) {
            routeTokens(i, byToken, embeddings);
          }
        }
        case Selection.ByLayer byLayer -> {}
      }
    }
    fixedEntries = table.size();
    table.fill(batch, tokens);
    return batch;
  }

  /**
   * The longest of what is to come for each sequence, when all have fixed adapters. A sequence that
   * may end early is taken to become as long as others were, or as long again as it is.
   */
  @Override
  public int stepsToCome() {
    int steps = 0;
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      if (!(sequence.selection() instanceof Selection.Fixed)) {
        return 0;
      }
      steps = Math.max(steps, sequence.task().tokensToCome(usualTokens));
    }
    return steps;
  }

  /** Forgets a sequence that takes part no more. */
  void forget(Sequence sequence) {
    withoutRouter.remove(sequence);
  }

  /** Notes how many tokens a sequence had generated when it ended. */
  void ended(int tokens) {
    usualTokens += (tokens - usualTokens) / Math.min(++generations, AVERAGED_GENERATIONS);
  }

  @Override
  public boolean wantsLayerInputs() {
    return observation.wants(HiddenPoint.LAYER_INPUT);
  }

  @Override
  public void layerInput(int layer, Tensor normed) {
    observation.show(HiddenPoint.LAYER_INPUT, layer, normed);
  }

  @Override
  public boolean perLayer() {
    return perLayer;
  }

  @Override
  public LoraBatch atLayer(int layer, Tensor normed) {
    table.truncate(fixedEntries);
    for (int i = 0; i < sequences.size(); i++) {
      if (sequences.get(i).selection() instanceof Selection.ByLayer byLayer
          && isFirstOf(i, byLayer.router())) {
        gather(i, byLayer.router(), normed, false);
        ask(byLayer.name(), byLayer.experts(), byLayer, input(layer, false));
      }
    }
    table.fill(batch, tokens);
    return batch;
  }

  @Override
  public boolean wantsFinalHidden() {
    return wantsFinalHidden || observation.wants(HiddenPoint.FINAL);
  }

  @Override
  public void afterLayers(Tensor finalHidden) {
    observation.show(HiddenPoint.FINAL, layers, finalHidden);
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      if (sequence.routing().isPresent()) {
        sequence
            .routing()
            .get()
            .finalHidden(
                finalHidden.segment(), (firstRows[i + 1] - 1) * finalHidden.rowStrideBytes());
      }
    }
  }

  /** Lets the tokens {@code [from, to)} of a sequence use a mixture. */
  private void add(Sequence sequence, Mixture mixture, int from, int to) {
    List<Mixture.Share> shares = mixture.shares();
    for (int a = 0; a < shares.size(); a++) {
      int adapter = sequence.adapters().indexOf(shares.get(a).adapter());
      int slot = table.slot(sequence.leases().get(adapter));
      for (int t = from; t < to; t++) {
        table.add(slot, t, shares.get(a).weight());
      }
    }
  }

  /** Adds a sequence's mixtures, those of neighbours that agree at once. */
  private void addPerToken(int index, Selection.PerToken selection) {
    Sequence sequence = sequences.get(index);
    int end = firstRows[index + 1];
    int position = sequence.computed();
    Mixture mixture = selection.at(position);
    for (int from = firstRows[index]; from < end; ) {
      int to = from + 1;
      Mixture next = selection.at(++position);
      while (to < end && next.equals(mixture)) {
        to++;
        next = selection.at(++position);
      }
      add(sequence, mixture, from, to);
      Optional<MixtureReport> report = report(sequence);
      if (report.isPresent()) {
        report.get().note(mixture);
      }
      mixture = next;
      from = to;
    }
  }

  /** Several sequences may use one router; the first of them asks it for all. */
  private boolean isFirstOf(int index, Router router) {
    for (int i = 0; i < index; i++) {
      if (uses(sequences.get(i), router)) {
        return false;
      }
    }
    return uses(sequences.get(index), router);
  }

  // Compared by identity: equality would be the router's own code, outside the guard of ask.
  @SuppressWarnings("ReferenceEquality")
  private boolean uses(Sequence sequence, Router router) {
    return !withoutRouter.contains(sequence)
        && switch (sequence.selection()) {
          case Selection.Fixed fixed -> false;
          case Selection.PerToken perToken -> false;
          case Selection.ByToken byToken -> byToken.router() == router;
          case Selection.ByLayer byLayer -> byLayer.router() == router;
        };
  }

  private void routeTokens(int first, Selection.ByToken byToken, Tensor embeddings) {
    gather(first, byToken.router(), embeddings, true);
    boolean wantsContext = !(byToken.context() instanceof RunningContext.None);
    ask(byToken.name(), byToken.experts(), byToken, input(0, wantsContext));
  }

  /** Returns the rows that were gathered, as an object that is kept while their number stays. */
  private RoutingInput input(int layer, boolean withContext) {
    List<RoutingInput> known = withContext ? inputsWithContext : inputs;
    int count = askedTokens();
    while (known.size() <= layer) {
      known.add(newInput(count, known.size(), withContext));
    }
    if (known.get(layer).tokens() != count) {
      known.set(layer, newInput(count, layer, withContext));
    }
    return known.get(layer);
  }

  private RoutingInput newInput(int count, int layer, boolean withContext) {
    return RoutingInput.of(
        count,
        layer,
        Tensor.host(rows, ElementType.F32, count, hidden),
        withContext
            ? Optional.of(Tensor.host(contexts, ElementType.F32, count, hidden))
            : Optional.empty());
  }

  /**
   * Copies the rows of all sequences that use a router, and their running contexts, so that they
   * follow one another.
   */
  private void gather(int first, Router router, Tensor source, boolean withContext) {
    askedCount = 0;
    long rowBytes = (long) hidden * Float.BYTES;
    long target = 0;
    for (int i = first; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      if (!uses(sequence, router)) {
        continue;
      }
      asked[askedCount++] = i;
      for (int t = firstRows[i]; t < firstRows[i + 1]; t++, target += rowBytes) {
        MemorySegment.copy(source.segment(), t * source.rowStrideBytes(), rows, target, rowBytes);
        if (withContext && sequence.routing().isPresent()) {
          boolean promptToken = sequence.computed() + t - firstRows[i] < sequence.promptLength();
          sequence.routing().get().next(rows, promptToken, contexts, target);
        }
      }
    }
  }

  private int askedTokens() {
    int count = 0;
    for (int i = 0; i < askedCount; i++) {
      count += firstRows[asked[i] + 1] - firstRows[asked[i]];
    }
    return count;
  }

  private void ask(String name, Experts experts, Selection selection, RoutingInput input) {
    decisions.reset(askedTokens(), experts);
    long begin = System.nanoTime();
    try {
      switch (selection) {
        case Selection.Fixed fixed -> {}
        case Selection.PerToken perToken -> {}
        case Selection.ByToken byToken -> byToken.router().route(input, decisions);
        case Selection.ByLayer byLayer -> byLayer.router().route(input, decisions);
      }
    } catch (Throwable e) {
      giveUp(new LorikeetException(Code.ROUTER_FAILED, "router '" + name + "' failed: " + e, e));
      return;
    }
    long nanos = System.nanoTime() - begin;
    if (policy.isTooLong(nanos)) {
      giveUp(
          new LorikeetException(
              Code.ROUTER_FAILED, "router '" + name + "' " + policy.tooLong(nanos)));
      return;
    }
    int decision = 0;
    for (int i = 0; i < askedCount; i++) {
      Sequence sequence = sequences.get(asked[i]);
      for (int t = firstRows[asked[i]]; t < firstRows[asked[i] + 1]; t++, decision++) {
        for (int k = 0; k < decisions.count(decision); k++) {
          int slot = table.slot(sequence.leases().get(decisions.expert(decision, k)));
          table.add(slot, t, decisions.weight(decision, k));
        }
      }
      Optional<MixtureReport> report = report(sequence);
      if (report.isPresent()) {
        report.get().note(decisions, decision - 1);
      }
    }
  }

  private static Optional<MixtureReport> report(Sequence sequence) {
    return sequence.task() instanceof GenerateTask task ? task.report() : Optional.empty();
  }

  private void giveUp(LorikeetException failure) {
    for (int i = 0; i < askedCount; i++) {
      Sequence sequence = sequences.get(asked[i]);
      switch (policy.fallback()) {
        case FAIL -> sequence.fail(failure);
        case BASE -> {
          withoutRouter.add(sequence);
          LOGGER.log(
              System.Logger.Level.WARNING,
              "a request goes on with the base model alone: " + failure.getMessage());
        }
      }
    }
  }
}
