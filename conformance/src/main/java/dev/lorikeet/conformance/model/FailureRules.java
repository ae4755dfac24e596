package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.model.ModelBench.Observed;
import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.ScoreRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Rules M24 to M26: how a model tells that it has failed, or that a request has. */
public abstract class FailureRules extends ModelRules {
  protected FailureRules() {}

  @Test
  public final void required_M24_healthTellsWhetherRequestsAreTaken() {
    try (ModelBench bench = bench()) {
      assertEquals(Health.healthy(), bench.model.health(), "health of an open model");
      bench.run(bench.prompt(3), r -> r.maxTokens(2));
      assertEquals(Health.healthy(), bench.model.health(), "health after a request");
      bench.model.close();
      assertEquals(Health.closed(), bench.model.health(), "health after close");
    }
  }

  @Test
  public final void untested_M24_aFailureOfTheModelIsKeptAsTheReason() {
    untested("no suite can make a model fail");
  }

  @Test
  public final void required_M25_closeOnTheDecodingThreadIsRefused() {
    try (ModelBench bench = bench()) {
      CompletableFuture<Object> thrown = new CompletableFuture<>();
      Consumer<GeneratedToken> closing =
          token -> {
            try {
              bench.model.close();
              thrown.complete("nothing");
            } catch (LorikeetException e) {
              thrown.complete(e.code());
            } catch (RuntimeException | Error e) {
              thrown.complete(e);
            }
          };
      Running running = bench.submit(bench.prompt(3), r -> r.maxTokens(3), closing);
      assertEquals(Code.WRONG_THREAD, soon(thrown), "what close threw in a callback");
      running.await(trial);
      bench.run(bench.prompt(3), r -> r.maxTokens(2));
    }
  }

  private <T> T soon(CompletableFuture<T> future) {
    try {
      return future.get(trial.patience().toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    } catch (ExecutionException | TimeoutException e) {
      throw new AssertionError("expected a result, found " + e, e);
    }
  }

  @Test
  public final void required_M26_logitsThatAreNoNumbersFailTheirOwnRequest() {
    // Whatever sees the embedding of this token becomes NaN.
    TinyModel tiny = new TinyModel(trial.random().nextLong(), 0.5, TinyModel.unsoundToken());
    List<Sampling> ways =
        List.of(
            Sampling.greedy(),
            Sampling.of(1f, trial.random().nextLong()),
            Sampling.of(1f, trial.random().nextLong()).withTopK(7).withTopP(0.9f));
    try (ModelBench bench = bench(tiny, 300)) {
      for (Sampling sampling : ways) {
        List<Integer> sound = bench.prompt(7);
        Observed alone = bench.run(sound, r -> r.maxTokens(6));
        List<Integer> unsound = new ArrayList<>(bench.prompt(5));
        // Not the last one: a score needs no logits behind it.
        unsound.set(trial.between(0, 3), TinyModel.unsoundToken());
        Running failing = bench.submit(unsound, r -> r.maxTokens(6).sampling(sampling));
        Running beside = bench.submit(sound, r -> r.maxTokens(6));
        assertEquals(
            Code.NOT_FINITE, failure(failing.generation()), () -> "a request with " + sampling);
        expectAlike(alone, beside.await(trial), "a request beside one that fails");
        expectScoreFails(bench, unsound);
        expectAlike(
            alone, bench.run(sound, r -> r.maxTokens(6)), "a request after one that failed");
      }
    }
  }

  private void expectScoreFails(ModelBench bench, List<Integer> tokens) {
    var score =
        bench.model.score(ScoreRequest.of(new Prompt.Tokens(tokens), new AdapterChoice.None()));
    var failure =
        assertThrows(
            ExecutionException.class,
            () -> score.get(trial.patience().toMillis(), TimeUnit.MILLISECONDS),
            "a score of the same tokens");
    assertEquals(
        Code.NOT_FINITE,
        assertInstanceOf(LorikeetException.class, failure.getCause()).code(),
        "a score of the same tokens");
  }
}
