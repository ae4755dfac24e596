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
import dev.lorikeet.host.telemetry.RequestLabels;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.Tokenizer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
  private final Optional<ChatTemplate> chatTemplate;
  private final AdapterStore adapters;
  private final PagePool pool;
  private final AdapterSelector selector;
  private final Optional<PrefixCache> prefixes;
  private final StepRunner runner;
  private final Scheduler scheduler;
  private final Relay relay = new Relay();
  private final Telemetry telemetry;
  private final LongSupplier clock;
  private final AtomicLong arrivals = new AtomicLong();

  /** Starts the decoding thread. */
  public Serving(
      ModelInfo info,
      StepDecoder decoder,
      Tokenizer tokenizer,
      Optional<ChatTemplate> chatTemplate,
      AdapterStore adapters,
      PagePool pool,
      ServingOptions options,
      Telemetry telemetry) {
    this(
        info,
        decoder,
        tokenizer,
        chatTemplate,
        adapters,
        pool,
        options,
        telemetry,
        new AdapterLoader(adapters),
        System::nanoTime);
    scheduler.start();
  }

  /** Leaves it to the caller to run the scheduler's iterations, or to start its thread. */
  Serving(
      ModelInfo info,
      StepDecoder decoder,
      Tokenizer tokenizer,
      Optional<ChatTemplate> chatTemplate,
      AdapterStore adapters,
      PagePool pool,
      ServingOptions options,
      Telemetry telemetry,
      AdapterLoader loader,
      LongSupplier clock) {
    Limits limits = options.limits();
    this.clock = clock;
    this.info = info;
    this.decoder = decoder;
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.adapters = adapters;
    this.pool = pool;
    this.selector = new AdapterSelector(adapters, options.routers());
    this.prefixes =
        options.prefixCache() ? Optional.of(decoder.kv().openPrefixCache()) : Optional.empty();
    this.runner = new StepRunner(decoder, limits, options.routers(), info.shape(), clock);
    this.telemetry = telemetry;
    this.scheduler =
        new Scheduler(
            limits, options.policy().create(limits), runner, loader, prefixes, telemetry, clock);
  }

  /** A prompt as text, where it came as text, and as token ids. */
  private record Encoded(String text, List<Integer> tokens) {
    static Encoded of(String text, int[] tokens) {
      return new Encoded(text, Arrays.stream(tokens).boxed().toList());
    }

    int length() {
      return tokens.size();
    }

    int[] array() {
      return tokens.stream().mapToInt(Integer::intValue).toArray();
    }
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
    Encoded prompt = encode(request.prompt(), 1);
    trace.encoded(prompt.length());
    int room = info.maxPositions() - prompt.length();
    int maxTokens = Math.min(request.stop().maxTokens(), room);
    Selection selection = select(request.adapter(), prompt, request.tenant(), request.attributes());
    trace.selected(selection.adapters());
    refuseIfTooLarge(selection, prompt.length() + maxTokens);

    AtomicBoolean cancelled = new AtomicBoolean();
    TokenBuffer tokens = new TokenBuffer(maxTokens, request.reportMixture());
    TokenLog log = new TokenLog(relay, tokens, () -> cancel(cancelled));
    GenerateTask task =
        new GenerateTask(
            request,
            observer,
            selection,
            trace,
            log,
            tokenizer.stream(true),
            info.eosTokens(),
            prompt.length(),
            maxTokens,
            now,
            clock);
    trace.queued();
    scheduler.submit(
        sequence(
            now,
            request.timeout(),
            request.priority(),
            request.tenant(),
            prompt.array(),
            selection,
            task,
            cancelled));
    return log;
  }

  private void cancel(AtomicBoolean cancelled) {
    cancelled.set(true);
    scheduler.wake();
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
    Encoded prompt = encode(request.prompt(), 0);
    trace.encoded(prompt.length());
    Selection selection = select(request.adapter(), prompt, "", Map.of());
    trace.selected(selection.adapters());
    refuseIfTooLarge(selection, prompt.length() + 1);
    AtomicBoolean cancelled = new AtomicBoolean();
    ScoreTask task = new ScoreTask(observer, trace, prompt.array(), () -> cancel(cancelled));
    trace.queued();
    scheduler.submit(
        sequence(
            clock.getAsLong(),
            Optional.empty(),
            0,
            "",
            prompt.array(),
            selection,
            task,
            cancelled));
    return task.future();
  }

  private Sequence sequence(
      long now,
      Optional<Duration> timeout,
      int priority,
      String tenant,
      int[] tokens,
      Selection selection,
      Task task,
      AtomicBoolean cancelled) {
    Optional<RoutingContextState> routing =
        selection instanceof Selection.ByToken byToken
            ? Optional.of(new RoutingContextState(byToken.context(), info.shape().hidden()))
            : Optional.empty();
    return new Sequence(
        arrivals.incrementAndGet(),
        now,
        timeout.map(t -> deadline(now, t)).orElse(Long.MAX_VALUE),
        priority,
        tenant,
        tokens,
        selection,
        task,
        routing,
        decoder.kv().newPages(tokens.length + Math.min(task.mostTokensToCome(), Sequence.ROOM)),
        cancelled);
  }

  private static long deadline(long now, Duration timeout) {
    // A century is as good as no limit, and keeps the arithmetic of nanoTime sound.
    Duration century = Duration.ofDays(36_500);
    return timeout.compareTo(century) > 0 ? Long.MAX_VALUE : now + timeout.toNanos();
  }

  private Encoded encode(Prompt prompt, int roomFor) {
    Encoded encoded =
        switch (prompt) {
          case Prompt.Text(String text) -> Encoded.of(text, tokenizer.encode(text, true));
          case Prompt.Chat chat -> {
            String text = template().render(chat, true);
            yield Encoded.of(text, tokenizer.encode(text, false));
          }
          case Prompt.Tokens(List<Integer> tokens) -> new Encoded("", tokens);
        };
    List<Integer> tokens = encoded.tokens();
    if (tokens.isEmpty()) {
      throw invalid("prompt: expected at least one token, found none");
    }
    if (tokens.size() > info.maxPositions() - roomFor) {
      throw invalid(
          "prompt: expected at most "
              + (info.maxPositions() - roomFor)
              + " tokens (the model has "
              + info.maxPositions()
              + " positions), found "
              + tokens.size());
    }
    int vocabulary = info.shape().vocabulary();
    for (int i = 0; i < tokens.size(); i++) {
      if (tokens.get(i) < 0 || tokens.get(i) >= vocabulary) {
        throw invalid(
            "prompt: expected token ids from 0 to "
                + (vocabulary - 1)
                + ", found "
                + tokens.get(i)
                + " at place "
                + i);
      }
    }
    return encoded;
  }

  private ChatTemplate template() {
    return chatTemplate.orElseThrow(
        () ->
            invalid(
                "chat: the model directory "
                    + info.directory()
                    + " has no chat template; send the prompt as text"));
  }

  private Selection select(
      AdapterChoice choice, Encoded prompt, String tenant, Map<String, String> attributes) {
    return selector.select(choice, prompt.text(), prompt.tokens(), tenant, attributes);
  }

  private void refuseIfTooLarge(Selection selection, int positions) {
    long kvPages = decoder.kv().pagesFor(positions);
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
    scheduler.close();
    relay.close();
    prefixes.ifPresent(PrefixCache::close);
    runner.close();
  }
}
