package dev.lorikeet.cli.fake;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A model that continues every prompt with {@code " NAME says PROMPT"}, where NAME is the adapter,
 * a token for each character. Two prompts are special: {@code "hang"} goes on until it is
 * cancelled, {@code "fail"} fails for every adapter and not for the base.
 */
final class FakeModel implements BaseModel {
  private final ModelInfo info;
  private final ModelConfig config;
  private final Map<String, Router> routers = new ConcurrentHashMap<>();
  private final AtomicInteger sequences = new AtomicInteger();

  FakeModel(ModelInfo info, ModelConfig config) {
    this.info = info;
    this.config = config;
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    sequences.incrementAndGet();
    String prompt = text(request.prompt());
    String name = name(request.adapter(), prompt);
    if (prompt.equals("fail") && !name.equals("base")) {
      return FakeGeneration.failed(
          new LorikeetException(LorikeetException.Code.QUEUE_TIMEOUT, "waited too long"));
    }
    if (prompt.equals("hang")) {
      return FakeGeneration.endless();
    }
    return FakeGeneration.of(
        " " + name + " says " + prompt, encode(prompt).size(), request, observer);
  }

  private String name(AdapterChoice choice, String prompt) {
    return switch (choice) {
      case AdapterChoice.None none -> "base";
      case AdapterChoice.Named(String adapter) -> adapter;
      case AdapterChoice.Mixed(Mixture mixture) -> mixture.shares().toString();
      case AdapterChoice.PerToken(List<Mixture> mixtures) -> mixtures.toString();
      case AdapterChoice.Routed(String name) -> {
        if (!(routers.get(name) instanceof RequestRouter router)) {
          throw new LorikeetException(LorikeetException.Code.ROUTER_FAILED, "no router " + name);
        }
        yield router
            .route(
                RequestContext.builder()
                    .text(prompt)
                    .tokens(encode(prompt))
                    .adapters(config.adapters().list().stream().map(a -> a.id()).toList())
                    .build())
            .shares()
            .getFirst()
            .adapter();
      }
    };
  }

  private String text(Prompt prompt) {
    return switch (prompt) {
      case Prompt.Text(String text) -> text;
      case Prompt.Chat chat ->
          String.join(
              "", chat.messages().stream().map(m -> "<" + m.role() + ">" + m.content()).toList());
      case Prompt.Tokens(List<Integer> tokens) -> decode(tokens);
    };
  }

  @Override
  public CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer) {
    List<Integer> tokens = encode(text(request.prompt()));
    double each = name(request.adapter(), "").equals("base") ? -2 : -1;
    return CompletableFuture.completedFuture(
        new Score(tokens, Collections.nCopies(tokens.size() - 1, each)));
  }

  @Override
  public void addRouter(String name, Router router) {
    routers.put(name, router);
  }

  @Override
  public List<Integer> encode(String text) {
    return ("\u0001" + text).codePoints().boxed().toList();
  }

  @Override
  public String decode(List<Integer> tokens) {
    return String.join("", tokens.stream().filter(t -> t > 2).map(Character::toString).toList());
  }

  @Override
  public ModelStats stats() {
    int n = sequences.get();
    return ModelStats.builder()
        .steps(10)
        .prefillTokens(100)
        .decodeTokens(200)
        .largestBatch(n)
        .build();
  }

  @Override
  public Health health() {
    return Health.healthy();
  }

  @Override
  public void close() {}
}
