package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.shape.ModelInfo;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A base model as plain as can be, on the suite's own transformer: one thread that takes all
 * sequences one token further, again and again. Keys and values lie in pages of the pool, all of
 * which a sequence gets when it is admitted. Faulty twins override its steps.
 */
class ReferenceModel implements BaseModel {
  final ModelConfig config;
  final ModelInfo info;
  final PlainTransformer transformer;
  final ByteLevelTokenizer tokenizer = new ByteLevelTokenizer();
  private final Map<String, Router> routers = new HashMap<>();
  private final List<ReferenceTask> queue = new ArrayList<>();
  private final List<ReferenceTask> running = new ArrayList<>();
  private final Thread thread;
  private boolean closed;
  private long steps;
  private int largestBatch;

  ReferenceModel(ModelConfig config) {
    if (!config.options().isEmpty()) {
      throw new IllegalArgumentException("unknown options " + config.options().keySet());
    }
    this.config = config;
    ReferenceModelFiles files = ReferenceModelFiles.read(config.directory());
    info = files.info();
    transformer = files.transformer();
    thread = Thread.ofPlatform().daemon().name("reference-model").start(this::decode);
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    ReferenceTask task = new ReferenceTask(this, request, observer, tokens(request.prompt()));
    if (task.prompt.size() + 1 > info.maxPositions()) {
      throw new LorikeetException(Code.INVALID_REQUEST, "prompt: no room for a token");
    }
    choose(task, request.adapter());
    task.neededPages = pages(task.longest());
    enqueue(task);
    return task.log;
  }

  @Override
  public CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer) {
    try {
      if (observer.onToken().isPresent() || observer.onLogits().isPresent()) {
        throw new LorikeetException(Code.INVALID_REQUEST, "observer: a score draws no tokens");
      }
      List<Integer> tokens = tokens(request.prompt());
      GenerationRequest walk =
          GenerationRequest.tokens(tokens).stop(StopConditions.maxTokens(1)).build();
      ReferenceTask task = new ReferenceTask(this, walk, observer, tokens);
      task.scored = Optional.of(new ArrayList<>());
      choose(task, request.adapter());
      task.neededPages = pages(tokens.size());
      enqueue(task);
      return task.log
          .completion()
          .thenApply(result -> new Score(tokens, task.scored.orElseThrow()));
    } catch (LorikeetException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  int pages(int tokens) {
    return Math.ceilDiv(tokens, PagedKeyValues.positionsPerPage(config.pool(), info.shape()));
  }

  private void enqueue(ReferenceTask task) {
    if (task.neededPages > config.pool().pageCount()) {
      throw new LorikeetException(Code.TOO_LARGE, "needs " + task.neededPages + " pages");
    }
    synchronized (queue) {
      if (closed) {
        throw new LorikeetException(Code.CLOSED, "model: closed");
      }
      queue.add(task);
      queue.notifyAll();
    }
  }

  private List<Integer> tokens(Prompt prompt) {
    List<Integer> tokens =
        switch (prompt) {
          case Prompt.Text text -> encode(text.text());
          case Prompt.Tokens given -> given.tokens();
          case Prompt.Chat chat ->
              throw new LorikeetException(Code.INVALID_REQUEST, "no chat template for " + chat);
        };
    if (tokens.isEmpty()) {
      throw new LorikeetException(Code.INVALID_REQUEST, "prompt: expected a token, found none");
    }
    for (int token : tokens) {
      if (token < 0 || token >= info.shape().vocabulary()) {
        throw new LorikeetException(Code.INVALID_REQUEST, "prompt: token id " + token);
      }
    }
    return tokens;
  }

  private void choose(ReferenceTask task, AdapterChoice choice) {
    switch (choice) {
      case AdapterChoice.None none -> task.mixture = Mixture.none();
      case AdapterChoice.Named named -> task.mixture = Mixture.of(named.adapter());
      case AdapterChoice.Mixed mixed -> task.mixture = mixed.mixture();
      case AdapterChoice.PerToken(List<Mixture> mixtures) -> {
        if (mixtures.size() != task.prompt.size()) {
          throw new LorikeetException(Code.INVALID_REQUEST, "mixtures: found " + mixtures.size());
        }
        task.stated = mixtures;
        task.mixture =
            new Mixture(
                mixtures.stream()
                    .flatMap(mixture -> mixture.shares().stream())
                    .map(Mixture.Share::adapter)
                    .distinct()
                    .map(adapter -> new Mixture.Share(adapter, 1f))
                    .toList());
      }
      case AdapterChoice.Routed routed -> route(task, routed.router());
    }
    for (Mixture.Share share : task.mixture.shares()) {
      if (config.adapters().find(share.adapter()).isEmpty()) {
        Code code =
            choice instanceof AdapterChoice.Routed ? Code.ROUTER_FAILED : Code.ADAPTER_NOT_FOUND;
        throw new LorikeetException(code, "no adapter '" + share.adapter() + "'");
      }
    }
  }

  private void route(ReferenceTask task, String name) {
    Router router;
    synchronized (routers) {
      router = routers.get(name);
    }
    switch (router) {
      case null -> throw new LorikeetException(Code.INVALID_REQUEST, "no router '" + name + "'");
      case RequestRouter r -> {
        List<String> names = config.adapters().list().stream().map(a -> a.id()).toList();
        try {
          task.mixture =
              r.route(RequestContext.builder().tokens(task.prompt).adapters(names).build());
        } catch (RuntimeException e) {
          throw new LorikeetException(Code.ROUTER_FAILED, "router '" + name + "': " + e, e);
        }
      }
      case TokenRouter r -> experts(task, router, r.experts());
      case LayerRouter r -> experts(task, router, r.experts());
    }
  }

  private static void experts(ReferenceTask task, Router router, Experts experts) {
    task.router = Optional.of(new ReferenceRouting(router, experts));
    task.mixture =
        new Mixture(experts.adapters().stream().map(a -> new Mixture.Share(a, 1f)).toList());
  }

  private void decode() {
    while (true) {
      List<ReferenceTask> batch;
      synchronized (queue) {
        while (!closed && queue.isEmpty() && running.isEmpty()) {
          pause(0);
        }
        if (closed) {
          return;
        }
        admit();
        if (running.isEmpty()) {
          pause(1);
        }
        batch = List.copyOf(running);
        largestBatch = Math.max(largestBatch, batch.size());
        steps++;
      }
      for (ReferenceTask task : batch) {
        if (task.advance()) {
          synchronized (queue) {
            running.remove(task);
          }
        }
      }
    }
  }

  private void pause(long millis) {
    try {
      queue.wait(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void admit() {
    for (ReferenceTask task : List.copyOf(queue)) {
      if (task.isOver()) {
        queue.remove(task);
        task.fail(task.overReason());
      } else if (begin(task)) {
        queue.remove(task);
        running.add(task);
      }
    }
  }

  /** Takes pages and leases for a task; returns whether they could be had, or it failed. */
  boolean begin(ReferenceTask task) {
    int[] pages = new int[task.neededPages];
    if (!config.pool().allocate(PageOwner.KV_CACHE, pages, 0, pages.length)) {
      return false;
    }
    task.begin(pages);
    try {
      for (Mixture.Share share : task.mixture.shares()) {
        AdapterLease lease = config.adapters().acquire(share.adapter());
        task.leases.add(lease);
      }
      task.readAdapters();
      return true;
    } catch (LorikeetException e) {
      task.release();
      if (e.code() == Code.POOL_EXHAUSTED) {
        return false;
      }
      task.fail(e);
      return true;
    }
  }

  /** Draws a token. */
  int draw(double[] logits, Sampling sampling, java.util.SplittableRandom random) {
    return ReferenceSampler.draw(logits, sampling, random);
  }

  /** Returns the weight of an adapter. */
  double weight(double weight) {
    return weight;
  }

  /** Returns the logits to draw from. */
  double[] bent(double[] logits) {
    return logits;
  }

  /** Returns whether logits give probabilities. */
  boolean sound(double[] logits) {
    return Double.isFinite(ReferenceTask.logProbability(logits, 0));
  }

  void freePages(int[] pages) {
    config.pool().free(pages, 0, pages.length);
  }

  @Override
  public void addRouter(String name, Router router) {
    synchronized (routers) {
      routers.put(name, router);
    }
  }

  @Override
  public List<Integer> encode(String text) {
    return tokenizer.encode(text);
  }

  @Override
  public String decode(List<Integer> tokens) {
    return tokenizer.decode(tokens);
  }

  @Override
  public ModelStats stats() {
    synchronized (queue) {
      return ModelStats.builder()
          .queued(queue.size())
          .running(running.size())
          .steps(steps)
          .largestBatch(largestBatch)
          .build();
    }
  }

  @Override
  public Health health() {
    synchronized (queue) {
      return closed ? Health.closed() : Health.healthy();
    }
  }

  @Override
  public void close() {
    if (Thread.currentThread().equals(thread)) {
      throw new LorikeetException(Code.WRONG_THREAD, "close: called on the decoding thread");
    }
    synchronized (queue) {
      if (closed) {
        return;
      }
      closed = true;
      queue.notifyAll();
    }
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    List<ReferenceTask> left = new ArrayList<>(queue);
    left.addAll(running);
    left.forEach(task -> task.fail(new LorikeetException(Code.CLOSED, "model: closed")));
  }
}
