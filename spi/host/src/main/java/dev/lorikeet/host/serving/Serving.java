package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.host.kv.PrefixCache;
import dev.lorikeet.host.kv.PrefixStats;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.stream.Relay;
import dev.lorikeet.host.stream.TokenBuffer;
import dev.lorikeet.host.stream.TokenLog;
import dev.lorikeet.host.stream.Writer;
import dev.lorikeet.host.telemetry.RequestLabels;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.Tokenizer;
import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * Takes requests from any thread: encodes and checks them, chooses their adapters, and hands them
 * to the scheduler. What is wrong with a request is said here, at submission, as far as it can be
 * known.
 */
public final class Serving implements AutoCloseable {
  private final ModelInfo info;
  private final StepDecoder decoder;
  private final Tokenizer tokenizer;
  private final AdapterTexts texts;
  private final Prompts prompts;
  private final AdapterStore adapters;
  private final PagePool pool;
  private final AdapterSelector selector;
  private final Optional<PrefixCache> prefixes;
  private final StepRunner runner;
  private final Scheduler scheduler;
  private final Relay relay = new Relay();
  private final Telemetry telemetry;
  private final LongSupplier clock;
  private final int batchTokens;
  private final AtomicLong arrivals = new AtomicLong();

  /** Starts the decoding thread. */
  public Serving(
      Served model,
      AdapterStore adapters,
      PagePool pool,
      ServingOptions options,
      Telemetry telemetry) {
    this(
        model,
        adapters,
        pool,
        options,
        telemetry,
        new AdapterLoader(adapters, model.decoder()),
        System::nanoTime);
    scheduler.start();
  }

  /** Leaves it to the caller to run the scheduler's iterations, or to start its thread. */
  Serving(
      Served model,
      AdapterStore adapters,
      PagePool pool,
      ServingOptions options,
      Telemetry telemetry,
      AdapterLoader loader,
      LongSupplier clock) {
    Limits limits = options.limits();
    this.clock = clock;
    this.batchTokens = limits.batchTokens();
    this.info = model.info();
    this.decoder = model.decoder();
    this.tokenizer = model.tokenizer();
    Conversations conversations = model.conversations();
    this.texts = new AdapterTexts(adapters, tokenizer, conversations.ofAdapters());
    this.prompts = new Prompts(info, tokenizer, conversations.template(), texts);
    this.adapters = adapters;
    this.pool = pool;
    this.selector = new AdapterSelector(adapters, decoder, options.routers());
    this.prefixes =
        options.prefixCache() ? Optional.of(decoder.kv().openPrefixCache()) : Optional.empty();
    this.runner =
        new StepRunner(decoder, model.turns(), limits, options.routers(), info.shape(), clock);
    this.telemetry = telemetry;
    this.scheduler =
        new Scheduler(
            limits, options.policy().create(limits), runner, loader, prefixes, telemetry, clock);
  }

  /** Submits a request for generation. */
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    return telemetry
        .request(new RequestLabels.Generate(request))
        .submission(trace -> submit(request, observer, trace));
  }

  private Generation submit(
      GenerationRequest request, RequestObserver observer, RequestTrace trace) {
    long now = clock.getAsLong();
    Sequence.Ticket ticket =
        new Sequence.Ticket(
            arrivals.incrementAndGet(),
            now,
            request.timeout().map(t -> deadline(now, t)).orElse(Long.MAX_VALUE),
            request.priority(),
            request.tenant(),
            new AtomicBoolean());
    Prompts.Encoded prompt =
        prompts.encode(request.prompt(), request.adapter(), 1, () -> refuseIfLate(ticket));
    trace.encoded(prompt.length());
    int room = info.maxPositions() - prompt.length();
    int maxTokens = Math.min(request.stop().maxTokens(), room);
    Selection selection = select(request.adapter(), prompt, request.tenant(), request.attributes());
    refuseOtherTokens(request.prompt(), selection);
    trace.selected(selection.adapters());
    refuseIfTooLarge(selection, prompt.length() + maxTokens);

    TokenBuffer tokens = new TokenBuffer(maxTokens, request.reportMixture());
    TokenLog log = new TokenLog(relay, tokens, writer(ticket));
    GenerateTask task =
        new GenerateTask(
            request,
            observer,
            selection,
            new GenerateTask.Bounds(
                now, prompt.length(), maxTokens, endTokens(request.stop(), selection)),
            trace,
            log,
            tokenizer.stream(true),
            clock);
    trace.queued();
    scheduler.submit(sequence(ticket, prompt.array(), selection, task));
    return log;
  }

  /**
   * Returns the tokens that end a generation. Special tokens do not appear in the text, so that a
   * text to stop at which is one stands for the token. What ends a text by the tokenizer of an
   * adapter ends what is generated with it.
   */
  private Set<Integer> endTokens(StopConditions stop, Selection selection) {
    Set<Integer> tokens = new HashSet<>(stop.tokens());
    if (!stop.ignoreEos()) {
      tokens.addAll(info.eosTokens());
      tokens.addAll(texts.endTokens(selection.adapters()));
    }
    stop.strings().forEach(text -> tokenizer.specialToken(text).ifPresent(tokens::add));
    return tokens;
  }

  private Writer writer(Sequence.Ticket ticket) {
    return new Writer() {
      @Override
      public void cancel() {
        ticket.cancelled().set(true);
        scheduler.wake();
      }

      @Override
      public boolean isCurrentThread() {
        return scheduler.isDecodingThread();
      }
    };
  }

  /** Submits a request for log-probabilities. */
  public CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer) {
    try {
      return telemetry
          .request(new RequestLabels.LogProbabilities(request))
          .submission(trace -> score(request, observer, trace));
    } catch (LorikeetException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private CompletableFuture<Score> score(
      ScoreRequest request, RequestObserver observer, RequestTrace trace) {
    if (observer.onToken().isPresent() || observer.onLogits().isPresent()) {
      throw invalid(
          "observer of a score: expected one of hidden states alone, found one of "
              + (observer.onToken().isPresent() ? "tokens" : "logits"));
    }
    Prompts.Encoded prompt = prompts.encode(request.prompt(), request.adapter(), 0, () -> {});
    trace.encoded(prompt.length());
    Selection selection = select(request.adapter(), prompt, "", Map.of());
    refuseOtherTokens(request.prompt(), selection);
    trace.selected(selection.adapters());
    refuseIfTooLarge(selection, prompt.length() + 1);
    Sequence.Ticket ticket =
        new Sequence.Ticket(
            arrivals.incrementAndGet(),
            clock.getAsLong(),
            Long.MAX_VALUE,
            0,
            "",
            new AtomicBoolean());
    ScoreTask task = new ScoreTask(observer, trace, prompt.array(), writer(ticket));
    trace.queued();
    scheduler.submit(sequence(ticket, prompt.array(), selection, task));
    return task.future();
  }

  private Sequence sequence(Sequence.Ticket ticket, int[] tokens, Selection selection, Task task) {
    Optional<RoutingContextState> routing =
        selection instanceof Selection.ByToken byToken
            ? Optional.of(new RoutingContextState(byToken.context(), info.shape().hidden()))
            : Optional.empty();
    int positions = tokens.length + Math.min(task.mostTokensToCome(), Sequence.ROOM);
    return new Sequence(ticket, tokens, selection, task, routing, decoder.kv().newPages(positions));
  }

  private static long deadline(long now, Duration timeout) {
    // A century is as good as no limit, and keeps the arithmetic of nanoTime sound.
    Duration century = Duration.ofDays(36_500);
    return timeout.compareTo(century) > 0 ? Long.MAX_VALUE : now + timeout.toNanos();
  }

  private void refuseIfLate(Sequence.Ticket ticket) {
    if (ticket.isPast(clock.getAsLong())) {
      throw ticket.late();
    }
  }

  private Selection select(
      AdapterChoice choice, Prompts.Encoded prompt, String tenant, Map<String, String> attributes) {
    return selector.select(choice, prompt.text(), prompt.tokens(), tenant, attributes);
  }

  private void refuseOtherTokens(Prompt prompt, Selection selection) {
    if (!(prompt instanceof Prompt.Tokens)) {
      texts.check(selection.adapters());
    }
  }

  private void refuseIfTooLarge(Selection selection, int positions) {
    long kvPages = decoder.kv().mostPagesFor(positions, batchTokens);
    long adapterPages = 0;
    for (String adapter : selection.adapters()) {
      long bytes = adapters.find(adapter).map(spec -> spec.bytes()).orElse(0L);
      adapterPages += (bytes + pool.pageBytes() - 1) / pool.pageBytes();
    }
    if (kvPages + adapterPages > pool.pageCount()) {
      throw new LorikeetException(
          Code.TOO_LARGE,
          "the request needs "
              + kvPages
              + " pages for "
              + positions
              + " positions and "
              + adapterPages
              + " for its adapters, the pool has "
              + pool.pageCount()
              + "; ask for fewer tokens or give the pool more memory");
    }
  }

  private static LorikeetException invalid(String message) {
    return new LorikeetException(Code.INVALID_REQUEST, message);
  }

  /** Lets requests name a router. */
  public void addRouter(String name, Router router) {
    selector.addRouter(name, router);
  }

  /** Returns counts for monitoring. */
  public ModelStats stats() {
    return scheduler.stats();
  }

  /** Returns whether requests are taken, and if not, why. */
  public Health health() {
    return scheduler.health();
  }

  /**
   * Refuses a caller that is the decoding thread, which {@link #close} waits for.
   *
   * @throws LorikeetException with code {@code WRONG_THREAD}
   */
  public void refuseToCloseOnDecodingThread() {
    if (scheduler.isDecodingThread()) {
      throw Writer.onDecodingThread("to close the model");
    }
  }

  /** Returns the counts of the prefix cache. */
  public PrefixStats prefixStats() {
    return prefixes.map(PrefixCache::stats).orElse(PrefixStats.NONE);
  }

  /** Returns how many steps have been computed; for the thread that computes them. */
  long steps() {
    return runner.steps();
  }

  Scheduler scheduler() {
    return scheduler;
  }

  /** Ends all requests and the decoding thread. */
  @Override
  public void close() {
    try (runner) {
      try (relay) {
        scheduler.close();
      } finally {
        prefixes.ifPresent(PrefixCache::close);
      }
    }
  }
}
