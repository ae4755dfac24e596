package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.model.ModelBench.Observed;
import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.ProviderRules;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Mixture;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rules M1 to M6 and M15: which tokens are generated. */
abstract class GenerationRules extends ProviderRules {
  static final int PAGE_BYTES = 4096;

  /** How far logits may be from exact ones, relative to the largest. */
  static final double EXACT = 2e-3;

  /** How far logits may be from those of the same request in other company. */
  static final double INVARIANT = 1e-4;

  @TempDir Path directory = Path.of("");

  private int folders;

  GenerationRules() {}

  /** Opens a model that the suite closes. */
  protected abstract BaseModel openModel(ModelConfig config);

  /** Opens the pool that the model is tested with. */
  protected abstract PagePool createPool(PoolConfig config);

  /** Opens the store that the model is tested with. */
  protected abstract AdapterStore createStore(StoreConfig config);

  /** Opens the executor that the model is tested with. */
  protected abstract LoraExecutor createExecutor(Workers workers);

  final Path folder() {
    return directory.resolve("folder-" + folders++);
  }

  final TinyModel tiny() {
    return new TinyModel(trial.random().nextLong(), 0.5);
  }

  final ModelBench bench() {
    return bench(tiny(), 600);
  }

  final ModelBench bench(TinyModel tiny, int pages) {
    Path folder = tiny.write(folder());
    PagePool pool = createPool(PoolConfig.of((long) pages * PAGE_BYTES, PAGE_BYTES));
    AdapterStore store = createStore(StoreConfig.of(tiny.shape, pool));
    BaseModel model =
        openModel(ModelConfig.of(folder, pool, store, this::createExecutor).withOptions(options()));
    return new ModelBench(trial, tiny, pool, store, model, folder());
  }

  @Test
  public final void required_M1_greedyTakesTheLargestLogitAndTheSmallestIdAmongEquals() {
    try (ModelBench bench = bench()) {
      for (int round = 0; round < trial.trials(3); round++) {
        Observed o = bench.run(bench.prompt(trial.between(1, 20)), r -> r.maxTokens(12));
        for (int i = 0; i < o.result().tokens().size(); i++) {
          assertEquals(argmax(o.logits().get(i)), o.result().tokens().get(i), "token " + i);
        }
      }
    }
    try (ModelBench flat = bench(new TinyModel(1, 0), 200)) {
      Observed o = flat.run(flat.prompt(3), r -> r.stop(StopConditions.maxTokens(4).ignoringEos()));
      assertEquals(List.of(0, 0, 0, 0), o.result().tokens(), "tokens where all logits are equal");
    }
  }

  private static int argmax(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  @Test
  public final void required_M2_withoutAdaptersTheBaseModelAnswers() {
    try (ModelBench bench = bench().adapters()) {
      for (int length : new int[] {1, 2, 17, 70}) {
        Observed o = bench.run(bench.prompt(length), r -> r.maxTokens(10));
        bench.expect(o, PlainTransformer.always(), EXACT, "a prompt of " + length);
      }
    }
  }

  @Test
  public final void required_M2_anAdapterAddsItsDeltasOnAllItsModules() {
    try (ModelBench bench = bench().adapters()) {
      for (String name : bench.adapters.keySet()) {
        Observed o = bench.run(bench.prompt(19), r -> r.adapter(name));
        bench.expect(o, PlainTransformer.always(bench.share(name, 1)), EXACT, name);
      }
    }
  }

  @Test
  public final void required_M3_logitsDoNotDependOnCompanyChunksOrArrival() {
    try (ModelBench bench = bench().adapters()) {
      List<List<Integer>> prompts = new ArrayList<>();
      List<Observed> alone = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        prompts.add(bench.prompt(i == 0 ? 300 : trial.between(1, 60)));
        String name = i % 3 == 0 ? "" : i % 3 == 1 ? "all" : "attention";
        alone.add(bench.run(prompts.get(i), r -> name.isEmpty() ? r : r.adapter(name)));
      }
      for (int round = 0; round < trial.trials(2); round++) {
        List<Running> together = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
          String name = i % 3 == 0 ? "" : i % 3 == 1 ? "all" : "attention";
          together.add(bench.submit(prompts.get(i), r -> name.isEmpty() ? r : r.adapter(name)));
          if (trial.random().nextInt(3) == 0) {
            bench.run(bench.prompt(3), r -> r.maxTokens(1));
          }
        }
        for (int i = 0; i < 6; i++) {
          expectAlike(alone.get(i), together.get(i).await(trial), "request " + i);
        }
      }
    }
  }

  /** Checks logits up to where ties may have been broken another way. */
  final void expectAlike(Observed alone, Observed other, String what) {
    for (int i = 0; i < Math.min(alone.logits().size(), other.logits().size()); i++) {
      double error =
          ModelBench.difference(alone.logits().get(i), other.logits().get(i)) / INVARIANT;
      int index = i;
      assertTrue(
          error <= 1,
          () -> what + ": logits of token " + index + " differ by " + error + " tolerances");
      trial.error(error);
      if (!alone.result().tokens().get(i).equals(other.result().tokens().get(i))) {
        return;
      }
    }
    assertEquals(alone.result().tokens(), other.result().tokens(), () -> what + ": tokens");
  }

  @Test
  public final void required_M4_adaptersMixturesAndRoutersShareOneBatch() {
    try (ModelBench bench = bench().adapters()) {
      bench.model.addRouter("tokens", new SuiteRouters.ByToken("all", "mlp"));
      bench.model.addRouter("layers", new SuiteRouters.ByLayer("all", "attention"));
      bench.model.addRouter(
          "requests",
          new SuiteRouters.ByRequest(
              Mixture.of(new Mixture.Share("mlp", 0.5f), new Mixture.Share("attention", -1f))));
      Mixture mixture = Mixture.of(new Mixture.Share("all", 0.25f), new Mixture.Share("mlp", 1.5f));
      int tokens = 16;
      List<Running> running = new ArrayList<>();
      for (AdapterChoice choice :
          List.of(
              new AdapterChoice.None(),
              new AdapterChoice.Named("all"),
              new AdapterChoice.Named("attention"),
              new AdapterChoice.Mixed(mixture),
              new AdapterChoice.Routed("tokens"),
              new AdapterChoice.Routed("layers"),
              new AdapterChoice.Routed("requests"))) {
        running.add(
            bench.submit(
                bench.prompt(trial.between(2, 30)), r -> r.adapter(choice).maxTokens(tokens)));
      }
      List<Choice> choices =
          List.of(
              PlainTransformer.always(),
              PlainTransformer.always(bench.share("all", 1)),
              PlainTransformer.always(bench.share("attention", 1)),
              PlainTransformer.always(bench.share("all", 0.25), bench.share("mlp", 1.5)),
              new SuiteRouters.TokenChoice(bench.share("all", 1), bench.share("mlp", 1)),
              new SuiteRouters.LayerChoice(bench.share("all", 1), bench.share("attention", 1)),
              PlainTransformer.always(bench.share("mlp", 0.5), bench.share("attention", -1)));
      List<String> names =
          List.of("none", "all", "attention", "mixed", "by token", "by layer", "by request");
      for (int i = 0; i < running.size(); i++) {
        bench.expect(running.get(i).await(trial), choices.get(i), EXACT, names.get(i));
      }
      assertTrue(bench.model.stats().largestBatch() > 1, "sequences in the largest batch");
    }
  }

  @Test
  public final void required_M5_theSameSeedGivesTheSameTokens() {
    try (ModelBench bench = bench().adapters()) {
      List<Integer> prompt = bench.prompt(9);
      Sampling sampling = Sampling.of(1.3f, trial.random().nextLong());
      Observed first = bench.run(prompt, r -> r.sampling(sampling).maxTokens(20));
      List<Running> again = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        again.add(bench.submit(prompt, r -> r.sampling(sampling).maxTokens(20)));
        bench.submit(bench.prompt(4), r -> r.adapter("all").sampling(sampling));
      }
      for (Running running : again) {
        assertEquals(
            first.result().tokens(), running.await(trial).result().tokens(), "tokens drawn again");
      }
      Sampling other = Sampling.of(1.3f, sampling.seed() + 1);
      assertTrue(
          !first
              .result()
              .tokens()
              .equals(bench.run(prompt, r -> r.sampling(other).maxTokens(20)).result().tokens()),
          "tokens of another seed: expected others");
    }
  }

  @Test
  public final void stochastic_M6_samplingFollowsTheFilteredDistribution() {
    try (ModelBench bench = bench()) {
      List<Integer> prompt = bench.prompt(5);
      float[] logits = bench.run(prompt, r -> r.maxTokens(1)).logits().getFirst();
      List<Sampling> filters =
          List.of(
              Sampling.of(1f, 0),
              Sampling.of(2.5f, 0).withTopK(5),
              Sampling.of(3f, 0).withTopP(0.6f),
              Sampling.of(3f, 0).withTopK(12).withTopP(0.8f),
              Sampling.of(0.5f, 0));
      for (Sampling filter : filters) {
        new SamplingCheck(logits, filter).run(bench, prompt, trial.trials(250));
      }
    }
  }

  @Test
  public final void required_M15_scoresAreThoseOfAWholePass() {
    try (ModelBench bench = bench().adapters()) {
      for (int length : new int[] {1, 2, 40, 150}) {
        List<Integer> tokens = bench.prompt(length);
        Score base = score(bench, tokens, new AdapterChoice.None());
        expectScore(bench, tokens, base, PlainTransformer.always());
        Score adapted = score(bench, tokens, new AdapterChoice.Named("all"));
        expectScore(bench, tokens, adapted, PlainTransformer.always(bench.share("all", 1)));
      }
    }
  }

  final Score score(ModelBench bench, List<Integer> tokens, AdapterChoice choice) {
    return Crew.await(
        bench.model.score(ScoreRequest.of(new Prompt.Tokens(tokens), choice)),
        trial.patience(),
        "score");
  }

  private void expectScore(ModelBench bench, List<Integer> tokens, Score score, Choice choice) {
    assertEquals(tokens, score.tokens(), "tokens of the score");
    PlainTransformer.Sequence sequence = bench.tiny.transformer.new Sequence();
    for (int i = 0; i + 1 < tokens.size(); i++) {
      double[] logits = sequence.next(tokens.get(i), choice);
      double largest = 0;
      double sum = 0;
      for (double logit : logits) {
        largest = Math.max(largest, Math.abs(logit));
        sum += Math.exp(logit);
      }
      double expected = logits[tokens.get(i + 1)] - Math.log(sum);
      double found = score.logProbabilities().get(i);
      double error = Math.abs(expected - found) / (2 * EXACT * largest);
      int index = i + 1;
      assertTrue(
          error <= 1,
          () ->
              "log-probability of token " + index + ": expected " + expected + ", found " + found);
      trial.error(error);
    }
  }
}
