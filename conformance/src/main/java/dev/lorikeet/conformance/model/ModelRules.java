package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.model.ModelBench.Observed;
import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Rules M11 to M14, M16, M17 and M19 to M23: what a model holds, refuses, survives and tells. */
public abstract class ModelRules extends StreamRules {
  protected ModelRules() {}

  @Override
  protected abstract Optional<BaseModelProvider> provider();

  @Override
  protected final void openAndClose(Map<String, String> options) {
    TinyModel tiny = tiny();
    Path folder = tiny.write(folder());
    try (PagePool pool = createPool(PoolConfig.of(100L * PAGE_BYTES, PAGE_BYTES));
        AdapterStore store = createStore(StoreConfig.of(tiny.shape, pool))) {
      provider()
          .orElseThrow()
          .open(ModelConfig.of(folder, pool, store, this::createExecutor).withOptions(options))
          .close();
    }
  }

  @Test
  public final void required_M11_anIdleModelHoldsNothing() {
    try (ModelBench bench = bench().adapters()) {
      bench.expectNothingHeld();
      for (int round = 0; round < trial.trials(1); round++) {
        List<Running> running = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
          AdapterChoice choice =
              i % 2 == 0
                  ? new AdapterChoice.Named("all")
                  : new AdapterChoice.Mixed(
                      Mixture.of(new Mixture.Share("mlp", 1f), new Mixture.Share("attention", 2f)));
          running.add(bench.submit(bench.prompt(5 + i), r -> r.adapter(choice)));
        }
        running.get(1).generation().cancel();
        running.get(2).generation().cancel();
        running.forEach(r -> failure(r.generation()));
        score(bench, bench.prompt(20), new AdapterChoice.Named("mlp"));
        bench.expectNothingHeld();
      }
    }
  }

  @Test
  public final void required_M11_failedRequestsLeaveNothingBehind() {
    try (ModelBench bench = bench().adapters()) {
      bench.model.addRouter("later", new FaultyRouters.ThrowingOnTokens("all", 4));
      bench.model.addRouter("slow", new SlowRouter("all"));
      failure(bench.submit(bench.prompt(9), r -> r.router("later")).generation());
      failure(
          bench
              .submit(
                  bench.prompt(9),
                  r -> r.router("slow").timeout(Duration.ofMillis(100)).stop(endless(450)))
              .generation());
      outcome(bench, GenerationRequest.tokens(bench.prompt(3)).adapter("nobody"));
      outcome(bench, GenerationRequest.tokens(List.of(-1)));
      bench.expectNothingHeld();
    }
  }

  @Test
  public final void required_M12_unknownAdaptersAndRoutersAreRejected() {
    try (ModelBench bench = bench().adapters()) {
      rejects(bench, Code.ADAPTER_NOT_FOUND, new AdapterChoice.Named("nobody"), "nobody");
      rejects(
          bench,
          Code.ADAPTER_NOT_FOUND,
          new AdapterChoice.Mixed(
              Mixture.of(new Mixture.Share("all", 1f), new Mixture.Share("no-one", 1f))),
          "no-one");
      rejects(bench, Code.INVALID_REQUEST, new AdapterChoice.Routed("nowhere"), "nowhere");
    }
  }

  private static void rejects(ModelBench bench, Code code, AdapterChoice choice, String name) {
    Expect.rejection(
        "a request for " + choice,
        code,
        () -> bench.model.submit(GenerationRequest.text("hello").adapter(choice).build()),
        name);
  }

  @Test
  public final void required_M13_promptsThatCannotBeContinuedAreRejected() {
    try (ModelBench bench = bench()) {
      int vocabulary = bench.tiny.shape.vocabulary();
      List<Prompt> bad =
          List.of(
              new Prompt.Tokens(List.of(3, vocabulary)),
              new Prompt.Tokens(List.of(-1)),
              new Prompt.Text(""),
              new Prompt.Tokens(bench.prompt(TinyModel.MAX_POSITIONS)),
              new Prompt.Tokens(bench.prompt(TinyModel.MAX_POSITIONS + 1)));
      for (Prompt prompt : bad) {
        Expect.rejection(
            "a prompt that cannot be continued",
            Code.INVALID_REQUEST,
            () -> bench.model.submit(GenerationRequest.prompt(prompt).maxTokens(1).build()));
      }
      Expect.rejection(
          "a score of a token outside the vocabulary",
          Code.INVALID_REQUEST,
          () ->
              Crew.await(
                  bench.model.score(
                      ScoreRequest.of(
                          new Prompt.Tokens(List.of(3, vocabulary)), new AdapterChoice.None())),
                  trial.patience(),
                  "score"));
      Observed longest =
          bench.run(bench.prompt(TinyModel.MAX_POSITIONS - 1), r -> r.stop(endless(1)));
      assertEquals(1, longest.result().tokens().size(), "tokens after the longest prompt");
    }
  }

  @Test
  public final void required_M14_whatCanNeverFitIsRejectedAndTheRestWaits() {
    try (ModelBench bench = bench(tiny(), 8)) {
      Expect.rejection(
          "a request larger than the pool",
          Code.TOO_LARGE,
          () ->
              Crew.await(
                  Crew.begin(
                      () ->
                          bench
                              .submit(bench.prompt(450), r -> r.stop(endless(50)))
                              .generation()
                              .await()),
                  trial.patience(),
                  "a request larger than the pool"));
      List<Running> running = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        running.add(bench.submit(bench.prompt(10), r -> r.stop(endless(10))));
      }
      for (Running r : running) {
        assertEquals(10, r.await(trial).result().tokens().size(), "tokens of one that waited");
      }
      int[] all = bench.takeAllPages();
      Running waiting = bench.submit(bench.prompt(10), r -> r.stop(endless(5)));
      bench.until("a waiting request", () -> bench.model.stats().queued() == 1);
      bench.pool.free(all, 0, all.length);
      assertEquals(5, waiting.await(trial).result().tokens().size(), "tokens of one that waited");
    }
  }

  @Test
  public final void required_M16_timeoutsEndWaitingAndRunningRequests() {
    try (ModelBench bench = bench()) {
      int[] all = bench.takeAllPages();
      Running waiting =
          bench.submit(bench.prompt(4), r -> r.timeout(Duration.ofMillis(50)).stop(endless(4)));
      assertEquals(Code.DEADLINE_EXCEEDED, failure(waiting.generation()), "a waiting request");
      bench.pool.free(all, 0, all.length);
      bench.adapter("one", 2, ElementType.F32, List.of(Projection.Q));
      bench.model.addRouter("slow", new SlowRouter("one"));
      Running running =
          bench.submit(
              bench.prompt(4),
              r -> r.router("slow").timeout(Duration.ofMillis(200)).stop(endless(450)));
      assertEquals(Code.DEADLINE_EXCEEDED, failure(running.generation()), "a running request");
      Observed enough =
          bench.run(bench.prompt(4), r -> r.timeout(Duration.ofHours(1)).stop(endless(4)));
      assertEquals(4, enough.result().tokens().size(), "tokens of a request with time enough");
    }
  }

  @Test
  public final void required_M17_faultyRoutersFailTheirOwnRequestsAlone() {
    try (ModelBench bench = bench().adapters()) {
      Map<String, Router> faulty =
          Map.of(
              "throwing", new FaultyRouters.Throwing(),
              "stranger", new FaultyRouters.Stranger(),
              "at once", new FaultyRouters.ThrowingOnTokens("all", 0),
              "later", new FaultyRouters.ThrowingOnTokens("all", 4),
              "range", new FaultyRouters.OutOfRange("all"),
              "nan", new FaultyRouters.NotANumber("mlp"),
              "unknown expert", new FaultyRouters.OutOfRange("an adapter that nobody registered"));
      List<Integer> prompt = bench.prompt(11);
      Observed alone = bench.run(prompt, r -> r.adapter("all").maxTokens(16));
      faulty.forEach(bench.model::addRouter);
      for (String name : faulty.keySet()) {
        Running good = bench.submit(prompt, r -> r.adapter("all").maxTokens(16));
        assertEquals(
            Code.ROUTER_FAILED,
            outcome(bench, GenerationRequest.tokens(bench.prompt(5)).router(name).maxTokens(16)),
            () -> "a request whose router is at fault: " + name);
        expectAlike(alone, good.await(trial), "beside a router at fault: " + name);
      }
    }
  }

  @Test
  public final void required_M23_tokensComeWithTheirMixtureWhereAsked() {
    try (ModelBench bench = bench().adapters()) {
      bench.model.addRouter("tokens", new SuiteRouters.ByToken("all", "mlp"));
      bench.model.addRouter("layers", new SuiteRouters.ByLayer("all", "mlp"));
      Mixture mixture =
          Mixture.of(new Mixture.Share("attention", 0.5f), new Mixture.Share("mlp", 2f));
      bench.model.addRouter("request", new SuiteRouters.ByRequest(mixture));
      Share one = bench.share("all", 1);
      Share other = bench.share("mlp", 1);
      Map<AdapterChoice, Choice> choices = new LinkedHashMap<>();
      choices.put(new AdapterChoice.None(), PlainTransformer.always());
      choices.put(new AdapterChoice.Named("all"), PlainTransformer.always(one));
      Choice fixed = PlainTransformer.always(bench.share("attention", 0.5), bench.share("mlp", 2));
      choices.put(new AdapterChoice.Mixed(mixture), fixed);
      choices.put(new AdapterChoice.Routed("request"), fixed);
      choices.put(new AdapterChoice.Routed("tokens"), new SuiteRouters.TokenChoice(one, other));
      choices.put(new AdapterChoice.Routed("layers"), new SuiteRouters.LayerChoice(one, other));
      Map<AdapterChoice, ReportedMixtures> running = new LinkedHashMap<>();
      choices.forEach(
          (choice, exact) ->
              running.put(choice, ReportedMixtures.submit(bench, bench.prompt(7), choice)));
      choices.forEach(
          (choice, exact) ->
              Objects.requireNonNull(running.get(choice)).expect(bench, exact, choice.toString()));
      List<GeneratedToken> unasked =
          bench
              .model
              .submit(
                  GenerationRequest.tokens(bench.prompt(4)).router("tokens").maxTokens(3).build())
              .stream()
              .toList();
      assertTrue(
          unasked.stream().allMatch(token -> token.mixture().isEmpty()),
          () -> "mixtures that nobody asked for: expected none, found " + unasked);
    }
  }

  /** Returns how a request fails, at submission or later. */
  private Code outcome(ModelBench bench, GenerationRequest.Builder request) {
    try {
      return failure(bench.model.submit(request.build()));
    } catch (LorikeetException e) {
      return e.code();
    }
  }

  @Test
  public final void stochastic_M19_threadsSubmitScoreAndCancelAtOnce() {
    try (ModelBench bench = bench().adapters()) {
      List<Integer> prompt = bench.prompt(8);
      Observed alone = bench.run(prompt, r -> r.adapter("all").maxTokens(6));
      long seed = trial.random().nextLong();
      Crew.run(
          4,
          trial.patience().multipliedBy(2),
          thread -> {
            var random = new SplittableRandom(seed + thread);
            for (int i = 0; i < trial.trials(12); i++) {
              int action = random.nextInt(4);
              if (action == 0) {
                score(bench, prompt, new AdapterChoice.Named("mlp"));
              } else {
                Running running = bench.submit(prompt, r -> r.adapter("all").maxTokens(6));
                if (action == 1) {
                  running.generation().cancel();
                  failure(running.generation());
                } else {
                  expectAlike(alone, running.await(trial), "a request among threads");
                }
              }
            }
          });
    }
  }

  @Test
  public final void required_M20_closeEndsAllRequestsAndReturnsEverything() throws Exception {
    try (ModelBench bench = bench().adapters()) {
      CountDownLatch started = new CountDownLatch(1);
      Running running = begin(bench, started);
      awaitStart(started);
      List<Running> more = new ArrayList<>(List.of(running));
      for (int i = 0; i < 4; i++) {
        more.add(bench.submit(bench.prompt(9), r -> r.adapter("all").stop(endless(400))));
      }
      bench.model.close();
      for (Running r : more) {
        assertEquals(Code.CLOSED, failure(r.generation()), "a request that was under way");
      }
      assertDoesNotThrow(bench.model::close, "second close");
      assertEquals(0, bench.store.stats().leased(), "leased adapters");
      int[] pages = bench.takeAllPages();
      bench.pool.free(pages, 0, pages.length);
      assertEquals(bench.pool.pageCount(), pages.length, "pages that can be had");
      Expect.rejection(
          "submit after close",
          Code.CLOSED,
          () -> bench.model.submit(GenerationRequest.text("hello").build()));
    }
  }

  @Test
  public final void required_M21_textAndTokensAgreeWithTheTokenizer() {
    try (ModelBench bench = bench()) {
      List<String> texts =
          List.of(
              "hello",
              " the the hello, thing!",
              "Grüße aus Köln; 12345 Bögen",
              "日本語と🦜",
              "a\n\n b\t  c ",
              "don't we'll they've",
              "\u0000\u001F\u007F");
      for (String text : texts) {
        List<Integer> expected = bench.tiny.tokenizer.encode(text);
        assertEquals(expected, bench.model.encode(text), () -> "encode of '" + text + "'");
        assertEquals(text, bench.model.decode(expected), "decode of what was encoded");
      }
      for (int round = 0; round < trial.trials(20); round++) {
        List<Integer> ids = new ArrayList<>();
        for (int i = trial.between(0, 12); i > 0; i--) {
          ids.add(trial.random().nextInt(bench.tiny.shape.vocabulary()));
        }
        assertEquals(
            bench.tiny.tokenizer.decode(ids), bench.model.decode(ids), () -> "decode of " + ids);
      }
      String text = "hello the thing";
      Observed asTokens = bench.run(bench.tiny.tokenizer.encode(text), r -> r);
      assertEquals(
          asTokens.result().tokens(),
          bench.model.submit(GenerationRequest.text(text).maxTokens(8).build()).await().tokens(),
          "tokens after a prompt of text");
    }
  }

  @Test
  public final void required_M22_damagedModelDirectoriesAreRejected() {
    List<Executable> checks = new ArrayList<>();
    for (HostileModels hostile : HostileModels.all(trial.random().nextLong())) {
      Path folder = folder();
      hostile.write(folder);
      checks.add(() -> rejectsAtOpening(hostile, folder));
      if (provider().isPresent() && hostile.seenWithoutWeights()) {
        BaseModelProvider provider = provider().orElseThrow();
        checks.add(
            () ->
                Expect.rejection(
                    "describe: " + hostile.what(),
                    hostile.code(),
                    () -> provider.describe(folder),
                    hostile.names()));
      }
    }
    assertAll(checks);
  }

  private void rejectsAtOpening(HostileModels hostile, Path folder) {
    TinyModel tiny = tiny();
    try (PagePool pool = createPool(PoolConfig.of(100L * PAGE_BYTES, PAGE_BYTES));
        AdapterStore store = createStore(StoreConfig.of(tiny.shape, pool))) {
      Expect.rejection(
          "open: " + hostile.what(),
          hostile.code(),
          () ->
              openModel(
                      ModelConfig.of(folder, pool, store, this::createExecutor)
                          .withOptions(options()))
                  .close(),
          hostile.names());
      assertEquals(0, pool.stats().usedPages(), "pages after a rejection");
    }
  }

  @Test
  public final void required_M22_describeTellsWhatOpenTells() {
    BaseModelProvider provider =
        provider().orElseThrow(() -> Trial.notApplicable("no provider was given"));
    TinyModel tiny = tiny();
    try (ModelBench bench = bench(tiny, 100)) {
      Path folder = tiny.write(folder());
      assertEquals(tiny.shape, provider.describe(folder).shape(), "shape");
      assertEquals(tiny.shape, bench.model.info().shape(), "shape");
      assertEquals("llama", provider.describe(folder).family(), "family");
      assertEquals(TinyModel.MAX_POSITIONS, bench.model.info().maxPositions(), "maxPositions");
      assertTrue(bench.model.info().eosTokens().contains(ByteLevelTokenizer.EOS), "eosTokens");
    }
  }
}
