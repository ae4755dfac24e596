package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.model.ModelBench.Observed;
import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.StopConditions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Rules M7 to M10 and M18: how generations end, and how their tokens are seen. */
abstract class StreamRules extends GenerationRules {
  StreamRules() {}

  static StopConditions endless(int maxTokens) {
    return StopConditions.maxTokens(maxTokens).ignoringEos();
  }

  @Test
  public final void required_M7_endOfSequenceStopTokensAndLengthEndWithTheirReason() {
    TinyModel tiny = tiny();
    List<Integer> greedy;
    List<Integer> prompt;
    try (ModelBench bench = bench(tiny, 300)) {
      prompt = bench.prompt(6);
      Observed o = bench.run(prompt, r -> r.stop(endless(12)));
      greedy = o.result().tokens();
      assertEquals(12, greedy.size(), "tokens of at most 12");
      assertEquals(FinishReason.LENGTH, o.result().finishReason(), "reason at the maximum");
      assertEquals(6, o.result().usage().promptTokens(), "prompt tokens");
      assertEquals(12, o.result().usage().generatedTokens(), "generated tokens");
      assertEquals(tiny.tokenizer.decode(greedy), o.result().text(), "text");

      int stop = greedy.get(5);
      int first = greedy.indexOf(stop);
      Observed stopped =
          bench.run(
              prompt,
              r -> r.stop(StopConditions.maxTokens(12).withTokens(Set.of(stop)).ignoringEos()));
      expectStop(tiny, greedy.subList(0, first + 1), stopped.result());

      Observed longest =
          bench.run(bench.prompt(TinyModel.MAX_POSITIONS - 5), r -> r.stop(endless(50)));
      assertEquals(
          FinishReason.LENGTH, longest.result().finishReason(), "reason at the longest sequence");
      int generated = longest.result().tokens().size();
      assertTrue(
          generated >= 5 && generated <= 6,
          () ->
              "tokens up to the longest sequence: expected 5 (or 6, the last one unused), found "
                  + generated);
    }
    int eos = greedy.get(3);
    tiny.config.put("eos_token_id", List.of(ByteLevelTokenizer.EOS, eos));
    try (ModelBench bench = bench(tiny, 300)) {
      assertTrue(bench.model.info().eosTokens().contains(eos), "eosTokens of info");
      Observed ended = bench.run(prompt, r -> r.maxTokens(12));
      expectStop(tiny, greedy.subList(0, greedy.indexOf(eos) + 1), ended.result());
      Observed ignored = bench.run(prompt, r -> r.stop(endless(12)));
      assertEquals(greedy, ignored.result().tokens(), "tokens with end-of-sequence ignored");
    }
  }

  private static void expectStop(TinyModel tiny, List<Integer> tokens, GenerationResult result) {
    assertEquals(tokens, result.tokens(), "tokens up to the one that ends it");
    assertEquals(FinishReason.STOP_TOKEN, result.finishReason(), "reason at a stop token");
    assertEquals(
        tiny.tokenizer.decode(tokens.subList(0, tokens.size() - 1)),
        result.text(),
        "text without the token that ends it");
  }

  @Test
  public final void required_M7_stopStringsAreNeverPartOfTheText() {
    try (ModelBench bench = bench()) {
      for (int round = 0; round < trial.trials(4); round++) {
        List<Integer> prompt = bench.prompt(4 + round);
        String text = bench.run(prompt, r -> r.stop(endless(24))).result().text();
        int begin = trial.between(1, Math.max(1, text.length() - 4));
        String stop = text.substring(begin, Math.min(text.length(), begin + 1 + round % 3));
        List<String> streamed = Collections.synchronizedList(new ArrayList<>());
        Observed o =
            bench
                .submit(
                    prompt,
                    r ->
                        r.stop(
                            StopConditions.maxTokens(24)
                                .withStrings(List.of("\u0000never", stop))
                                .ignoringEos()),
                    token -> streamed.add(token.text()))
                .await(trial);
        assertEquals(
            text.substring(0, text.indexOf(stop)), o.result().text(), "text before '" + stop + "'");
        assertEquals(FinishReason.STOP_STRING, o.result().finishReason(), "reason");
        assertEquals(o.result().text(), String.join("", streamed), "streamed text");
      }
    }
  }

  @Test
  public final void required_M8_streamsGiveEachTokenOnceInOrder() {
    // All tokens as likely as not: the text is full of bytes that are no characters by themselves.
    try (ModelBench bench = bench(new TinyModel(trial.random().nextLong(), 0), 300)) {
      for (int round = 0; round < trial.trials(3); round++) {
        List<GeneratedToken> called = Collections.synchronizedList(new ArrayList<>());
        var sampling = dev.lorikeet.model.Sampling.of(1f, trial.random().nextLong());
        Running running =
            bench.submit(bench.prompt(3), r -> r.sampling(sampling).stop(endless(60)), called::add);
        List<GeneratedToken> streamed;
        try (Stream<GeneratedToken> stream = running.generation().stream()) {
          streamed = stream.toList();
        }
        GenerationResult result = running.await(trial).result();
        expectAll(result, streamed, "stream");
        expectAll(result, called, "onToken");
        try (Stream<GeneratedToken> late = running.generation().stream()) {
          expectAll(result, late.toList(), "a stream after the end");
        }
        assertEquals(bench.tiny.tokenizer.decode(result.tokens()), result.text(), "text");
        assertEquals(result, running.generation().completion().join(), "completion");
      }
    }
  }

  static void expectAll(GenerationResult result, List<GeneratedToken> seen, String how) {
    assertEquals(
        result.tokens(), seen.stream().map(GeneratedToken::id).toList(), () -> how + ": ids");
    assertEquals(
        result.logProbabilities(),
        seen.stream().map(GeneratedToken::logProbability).toList(),
        () -> how + ": log-probabilities");
    assertEquals(
        result.text(),
        seen.stream().map(GeneratedToken::text).collect(Collectors.joining()),
        () -> how + ": text");
    for (int i = 0; i < seen.size(); i++) {
      assertEquals(i, seen.get(i).index(), () -> how + ": index");
    }
  }

  /** A long request, begun; the latch opens with its first token. */
  final Running begin(ModelBench bench, CountDownLatch started) {
    return bench.submit(bench.prompt(5), r -> r.stop(endless(450)), token -> started.countDown());
  }

  final void awaitStart(CountDownLatch started) {
    try {
      assertTrue(
          started.await(trial.patience().toMillis(), TimeUnit.MILLISECONDS),
          "a first token: expected, did not come");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  final Code failure(Generation generation) {
    try {
      Crew.await(Crew.begin(generation::await), trial.patience(), "the end of a generation");
    } catch (LorikeetException e) {
      return e.code();
    }
    return Code.INTERNAL;
  }

  @Test
  public final void required_M9_cancelEndsWaitingAndRunningRequests() {
    try (ModelBench bench = bench()) {
      CountDownLatch started = new CountDownLatch(1);
      Running running = begin(bench, started);
      awaitStart(started);
      running.generation().cancel();
      running.generation().cancel();
      assertEquals(Code.CANCELLED, failure(running.generation()), "a running request");

      Running future = begin(bench, new CountDownLatch(1));
      future.generation().completion().cancel(true);
      assertEquals(Code.CANCELLED, failure(future.generation()), "by its future");

      Running closed = begin(bench, new CountDownLatch(1));
      try (Stream<GeneratedToken> stream = closed.generation().stream()) {
        assertTrue(stream.findFirst().isPresent(), "a first token");
      }
      assertEquals(Code.CANCELLED, failure(closed.generation()), "by closing its stream");

      int[] all = bench.takeAllPages();
      Running waiting = begin(bench, new CountDownLatch(1));
      waiting.generation().cancel();
      assertEquals(Code.CANCELLED, failure(waiting.generation()), "a waiting request");
      bench.pool.free(all, 0, all.length);

      Running ended = bench.submit(bench.prompt(3), r -> r.maxTokens(2));
      GenerationResult result = ended.await(trial).result();
      ended.generation().cancel();
      assertEquals(result, ended.generation().await(), "a request that had ended");
    }
  }

  @Test
  public final void required_M10_failuresAndCancellationsDisturbNoOther() {
    try (ModelBench bench = bench().adapters()) {
      bench.model.addRouter("broken", new FaultyRouters.ThrowingOnTokens("all", 3));
      List<List<Integer>> prompts = new ArrayList<>();
      List<Observed> alone = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        prompts.add(bench.prompt(20 + i));
        alone.add(bench.run(prompts.get(i), r -> r.adapter("all").maxTokens(20)));
      }
      for (int round = 0; round < trial.trials(2); round++) {
        List<Running> kept = new ArrayList<>();
        List<Running> dropped = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
          dropped.add(bench.submit(bench.prompt(12), r -> r.adapter("mlp").stop(endless(300))));
          kept.add(bench.submit(prompts.get(i), r -> r.adapter("all").maxTokens(20)));
          dropped.add(bench.submit(bench.prompt(7), r -> r.router("broken")));
        }
        dropped.forEach(r -> r.generation().cancel());
        for (int i = 0; i < 3; i++) {
          expectAlike(alone.get(i), kept.get(i).await(trial), "a request among failures");
        }
        for (Running r : dropped) {
          Code code = failure(r.generation());
          assertTrue(code == Code.CANCELLED || code == Code.ROUTER_FAILED, () -> "code " + code);
        }
      }
    }
  }

  @Test
  public final void required_M18_everySubscriberSeesAllTokens() {
    try (ModelBench bench = bench()) {
      Running running = bench.submit(bench.prompt(4), r -> r.stop(endless(40)));
      TokenSubscriber all = new TokenSubscriber(Long.MAX_VALUE);
      TokenSubscriber oneByOne = new TokenSubscriber(1);
      TokenSubscriber stalled = new TokenSubscriber(0);
      TokenSubscriber quitter = new TokenSubscriber(3);
      running.generation().subscribe(all);
      running.generation().subscribe(stalled);
      running.generation().subscribe(oneByOne);
      running.generation().subscribe(quitter);
      for (int count = 1; !oneByOne.ended(count, trial.patience()); count++) {
        oneByOne.request(1);
      }
      GenerationResult result = running.await(trial).result();
      expectAll(result, all.awaitEnd(trial.patience()), "a subscriber of everything");
      expectAll(result, oneByOne.awaitEnd(trial.patience()), "a subscriber of one by one");
      TokenSubscriber late = new TokenSubscriber(Long.MAX_VALUE);
      running.generation().subscribe(late);
      expectAll(result, late.awaitEnd(trial.patience()), "a late subscriber");
      stalled.request(2);
      stalled.awaitCount(2, trial.patience());
      assertFalse(stalled.hasEnded(), "a subscriber that wants no more: expected no end yet");
      stalled.request(Long.MAX_VALUE);
      expectAll(result, stalled.awaitEnd(trial.patience()), "a subscriber that stalled");
      quitter.awaitCount(3, trial.patience());
      quitter.cancel();
      quitter.request(10);
      assertEquals(3, quitter.count(), "tokens after cancelling a subscription");
      TokenSubscriber wrong = new TokenSubscriber(-1);
      running.generation().subscribe(wrong);
      assertTrue(
          wrong.awaitFailure(trial.patience()) instanceof IllegalArgumentException,
          "a request for -1 tokens: expected IllegalArgumentException by onError");
    }
  }

  @Test
  public final void required_M18_subscribersOfAFailedRequestAreTold() {
    try (ModelBench bench = bench().adapters()) {
      bench.model.addRouter("broken", new FaultyRouters.ThrowingOnTokens("all", 0));
      Generation generation =
          bench.model.submit(GenerationRequest.tokens(bench.prompt(3)).router("broken").build());
      TokenSubscriber subscriber = new TokenSubscriber(Long.MAX_VALUE);
      generation.subscribe(subscriber);
      assertTrue(
          subscriber.awaitFailure(trial.patience()) instanceof LorikeetException,
          "onError: expected the failure of the request");
    }
  }
}
