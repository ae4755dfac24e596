package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tiny.TinyModel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Queue, batch, pages and failures. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ServingTest {
  private final TinyModel tiny = TinyModel.extract();

  /** Nothing is kept for later requests here, so that pages can be counted. */
  private Opened opened =
      Opened.of(tiny, Opened.builder(tiny).modelOption("prefix-cache", "false"));

  @AfterEach
  void close() {
    opened.close();
  }

  private void reopen(Map<String, String> options, long poolBytes) {
    opened.close();
    var builder = Opened.builder(tiny).poolBytes(poolBytes).modelOption("prefix-cache", "false");
    options.forEach(builder::modelOption);
    opened = Opened.of(tiny, builder);
  }

  private static List<Integer> prompt(Random random, int length) {
    List<Integer> prompt = new ArrayList<>();
    for (int i = 0; i < length; i++) {
      prompt.add(3 + random.nextInt(2045));
    }
    return prompt;
  }

  @Test
  void twoHundredRequestsFromSixteenThreadsWithAThirdCancelledLeaveTheOthersRightAndThePoolWhole()
      throws Exception {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    Random random = new Random(seed);
    record Order(List<Integer> prompt, Optional<String> adapter, int tokens, int cancelAfter) {}
    List<Order> orders = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      int tokens = 4 + random.nextInt(20);
      orders.add(
          new Order(
              prompt(random, 1 + random.nextInt(40)),
              Optional.of(tiny.adapterNames().get(i % 4)),
              tokens,
              i % 3 == 0 ? random.nextInt(tokens) : -1));
    }
    List<List<Integer>> expected = new ArrayList<>();
    for (Order order : orders) {
      expected.add(
          order.cancelAfter() >= 0
              ? List.of()
              : opened
                  .lorikeet
                  .submit(Opened.request(order.prompt(), order.adapter(), order.tokens()).build())
                  .await()
                  .tokens());
    }
    PoolStats before = opened.lorikeet.pool().stats();
    assertEquals(0, before.kvCachePages());
    AtomicInteger cancelled = new AtomicInteger();
    try (ExecutorService threads = Executors.newFixedThreadPool(16)) {
      List<Future<Boolean>> outcomes = new ArrayList<>();
      for (int i = 0; i < orders.size(); i++) {
        Order order = orders.get(i);
        List<Integer> right = expected.get(i);
        Callable<Boolean> task =
            () -> {
              if (order.cancelAfter() < 0) {
                assertEquals(
                    right,
                    opened
                        .lorikeet
                        .submit(
                            Opened.request(order.prompt(), order.adapter(), order.tokens()).build())
                        .await()
                        .tokens(),
                    "seed " + seed);
                return true;
              }
              CountDownLatch reached = new CountDownLatch(order.cancelAfter());
              Generation generation =
                  opened.lorikeet.submit(
                      Opened.request(order.prompt(), order.adapter(), order.tokens()).build(),
                      RequestObserver.tokens(token -> reached.countDown()));
              reached.await();
              generation.cancel();
              try {
                // The last token may win the race against the cancellation; then the result stands.
                assertEquals(order.tokens(), generation.await().tokens().size());
              } catch (LorikeetException e) {
                assertEquals(Code.CANCELLED, e.code());
                cancelled.incrementAndGet();
              }
              return true;
            };
        outcomes.add(threads.submit(task));
      }
      for (Future<Boolean> outcome : outcomes) {
        assertTrue(outcome.get());
      }
    }
    assertTrue(cancelled.get() > 30, "cancelled: " + cancelled.get());
    assertEquals(before, opened.lorikeet.pool().stats());
    assertEquals(0, opened.lorikeet.adapters().stats().leased());
    assertTrue(opened.lorikeet.model().stats().largestBatch() > 1);
  }

  @Test
  void sequencesThatRunOutOfPagesArePreemptedAndResumeWithTheSameOutput() {
    Random random = new Random(3);
    List<GenerationRequest> requests = new ArrayList<>();
    List<List<Integer>> expected = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      GenerationRequest request =
          Opened.request(prompt(random, 20), Optional.of(tiny.adapterNames().get(i % 4)), 150)
              .build();
      requests.add(request);
      expected.add(opened.lorikeet.submit(request).await().tokens());
    }
    // Room for the four adapters (about 3 MB) and for some, not all, of the sequences at their full
    // length.
    reopen(Map.of("kv-type", "f16", "max-batch-size", "12"), 4L << 20);
    List<Generation> generations = requests.stream().map(opened.lorikeet::submit).toList();
    for (int i = 0; i < requests.size(); i++) {
      assertEquals(expected.get(i), generations.get(i).await().tokens(), "request " + i);
    }
    long steps = opened.lorikeet.model().stats().prefillTokens();
    assertTrue(steps > 12 * 20, "prompt tokens computed " + steps + ", nothing was preempted");
    assertEquals(0, opened.lorikeet.pool().stats().kvCachePages());
  }

  @Test
  void whatCanNeverFitIsRefusedAtOnce() {
    reopen(Map.of("kv-type", "f32"), 4L << 20);
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () ->
                opened.lorikeet.submit(
                    Opened.request(prompt(new Random(1), 500), Optional.empty(), 500).build()));
    assertEquals(Code.TOO_LARGE, e.code());
    assertTrue(e.getMessage().contains("pages"), e.getMessage());
  }

  @Test
  void aFullQueueRefusesAndATimeoutEndsARequest() {
    reopen(Map.of("max-batch-size", "1", "max-queue", "1"), 64L << 20);
    Generation running =
        opened.lorikeet.submit(
            Opened.request(prompt(new Random(1), 10), Optional.empty(), 900).build());
    assertTrue(running.stream().findFirst().isPresent());
    Generation waiting =
        opened.lorikeet.submit(
            Opened.request(prompt(new Random(1), 10), Optional.empty(), 5)
                .timeout(Duration.ofMillis(1))
                .build());
    assertEquals(
        Code.DEADLINE_EXCEEDED, assertThrows(LorikeetException.class, waiting::await).code());
    opened.lorikeet.submit(
        Opened.request(prompt(new Random(1), 10), Optional.empty(), 900).build());
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () -> {
              for (int i = 0; i < 3; i++) {
                opened.lorikeet.submit(
                    Opened.request(prompt(new Random(1), 10), Optional.empty(), 900).build());
              }
            });
    assertEquals(Code.QUEUE_FULL, e.code());
    running.cancel();
  }

  @Test
  void requestsThatMakeNoSenseAreRefusedByName() {
    assertCode(Code.INVALID_REQUEST, "4096", () -> submit(List.of(1, 4096), Optional.empty()));
    assertCode(Code.ADAPTER_NOT_FOUND, "'nobody'", () -> submit(List.of(1), Optional.of("nobody")));
    assertCode(
        Code.INVALID_REQUEST,
        "'nowhere'",
        () -> opened.lorikeet.submit(GenerationRequest.text("x").router("nowhere").build()));
    assertCode(
        Code.INVALID_REQUEST, "1023", () -> submit(prompt(new Random(1), 1024), Optional.empty()));
  }

  @Test
  void aConversationIsWrittenAsTheTemplateOfTheModelSays() {
    GenerationRequest.Builder chat =
        GenerationRequest.chat(
            Prompt.ChatMessage.system("Be brief."), Prompt.ChatMessage.user("Hello."));
    GenerationRequest.Builder text =
        GenerationRequest.text("System: Be brief.\nUser: Hello.\nAssistant:");
    assertEquals(
        opened.lorikeet.submit(text.maxTokens(8).build()).await().tokens(),
        opened.lorikeet.submit(chat.maxTokens(8).build()).await().tokens());
  }

  private Generation submit(List<Integer> tokens, Optional<String> adapter) {
    return opened.lorikeet.submit(Opened.request(tokens, adapter, 4).build());
  }

  private static void assertCode(Code code, String mention, Callable<?> call) {
    LorikeetException e = assertThrows(LorikeetException.class, call::call);
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains(mention), e.getMessage());
  }

  @Test
  void generationEndsForEachReason() {
    GenerationResult whole =
        opened
            .lorikeet
            .submit(GenerationRequest.text("In the beginning").maxTokens(24).build())
            .await();
    assertEquals(FinishReason.LENGTH, whole.finishReason());
    assertEquals(24, whole.tokens().size());
    String stop = whole.text().substring(10, 16);
    GenerationResult cut =
        opened
            .lorikeet
            .submit(GenerationRequest.text("In the beginning").maxTokens(24).stopAt(stop).build())
            .await();
    assertEquals(FinishReason.STOP_STRING, cut.finishReason());
    assertEquals(whole.text().substring(0, whole.text().indexOf(stop)), cut.text());
    GenerationResult eos =
        opened
            .lorikeet
            .submit(
                GenerationRequest.text("The people of the")
                    .adapter("glossary")
                    .maxTokens(64)
                    .build())
            .await();
    assertEquals(FinishReason.STOP_TOKEN, eos.finishReason());
    assertEquals(2, eos.tokens().getLast());
    assertEquals(eos.tokens().size(), eos.usage().generatedTokens());
  }

  @Test
  void aRouterThatMixesEquallyGivesTheLogitsOfTheMixture() {
    opened.lorikeet.addRouter("uniform", Map.of("adapters", "voyage,jargon"));
    GenerationResult routed =
        opened
            .lorikeet
            .submit(GenerationRequest.text("The ship").router("uniform").maxTokens(20).build())
            .await();
    GenerationResult mixed =
        opened
            .lorikeet
            .submit(
                GenerationRequest.text("The ship")
                    .adapter(
                        new AdapterChoice.Mixed(
                            Mixture.of(
                                new Mixture.Share("voyage", 0.5f),
                                new Mixture.Share("jargon", 0.5f))))
                    .maxTokens(20)
                    .build())
            .await();
    assertEquals(mixed.tokens(), routed.tokens());
  }

  @Test
  void aRouterThatThrowsFailsItsOwnRequestsAndNoOther() {
    opened.lorikeet.addRouter(
        "broken",
        new TokenRouter() {
          @Override
          public Experts experts() {
            return new Experts(List.of("voyage"), 1);
          }

          @Override
          public void route(RoutingInput in, RoutingOutput out) {
            out.choose(0, 5, 1f);
          }
        });
    List<Integer> right = submit(List.of(1, 50, 60), Optional.of("voyage")).await().tokens();
    Generation good = submit(List.of(1, 50, 60), Optional.of("voyage"));
    Generation bad = opened.lorikeet.submit(GenerationRequest.text("x").router("broken").build());
    Generation alsoGood = submit(List.of(1, 50, 60), Optional.of("voyage"));
    LorikeetException e = assertThrows(LorikeetException.class, bad::await);
    assertEquals(Code.ROUTER_FAILED, e.code());
    assertTrue(String.valueOf(e.getMessage()).contains("'broken'"), e.getMessage());
    assertEquals(right, good.await().tokens());
    assertEquals(right, alsoGood.await().tokens());
    assertEquals(0, opened.lorikeet.pool().stats().kvCachePages());
  }

  @Test
  void scoresAndGenerationsShareTheRowsOfLogits() {
    List<Integer> text = prompt(new Random(5), 900);
    List<Integer> question = prompt(new Random(6), 20);
    GenerationRequest request = Opened.request(question, Optional.of("voyage"), 4).build();
    List<Integer> right = opened.lorikeet.submit(request).await().tokens();
    var alone = opened.lorikeet.score(new Prompt.Tokens(text), new AdapterChoice.None());
    var score =
        opened
            .lorikeet
            .model()
            .score(ScoreRequest.of(new Prompt.Tokens(text), new AdapterChoice.None()));
    for (int i = 0; i < 10; i++) {
      assertEquals(right, opened.lorikeet.submit(request).await().tokens());
    }
    assertEquals(alone, score.join());
  }

  @Test
  void aCallbackThatFailsInAnyWayFailsItsOwnRequestAndNoOther() {
    List<Integer> right = submit(List.of(1, 50, 60), Optional.of("voyage")).await().tokens();
    Generation bad =
        opened.lorikeet.submit(
            Opened.request(List.of(1, 2), Optional.empty(), 8).build(),
            RequestObserver.tokens(
                token -> {
                  throw new AssertionError("not the error of the model");
                }));
    Generation good = submit(List.of(1, 50, 60), Optional.of("voyage"));
    LorikeetException e = assertThrows(LorikeetException.class, bad::await);
    assertEquals(Code.INVALID_REQUEST, e.code());
    assertTrue(e.getMessage().contains("onToken"), e.getMessage());
    assertEquals(right, good.await().tokens());
  }

  @Test
  void aNewAdapterUnderAnOldNameServesLaterRequestsAndLeavesRunningOnesAlone() {
    List<Integer> prompt = List.of(1, 50, 60);
    List<Integer> voyage =
        opened
            .lorikeet
            .submit(Opened.request(prompt, Optional.of("voyage"), 200).build())
            .await()
            .tokens();
    List<Integer> jargon =
        opened
            .lorikeet
            .submit(Opened.request(prompt, Optional.of("jargon"), 20).build())
            .await()
            .tokens();
    CountDownLatch begun = new CountDownLatch(1);
    Generation running =
        opened.lorikeet.submit(
            Opened.request(prompt, Optional.of("voyage"), 200).build(),
            RequestObserver.tokens(t -> begun.countDown()));
    try {
      begun.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    opened.lorikeet.register("voyage", tiny.adapter("jargon"));
    assertEquals(
        jargon,
        opened
            .lorikeet
            .submit(Opened.request(prompt, Optional.of("voyage"), 20).build())
            .await()
            .tokens());
    assertEquals(voyage, running.await().tokens());
  }

  @Test
  void closingEndsWhatRunsAndWaits() {
    List<Generation> generations = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      generations.add(
          opened.lorikeet.submit(
              Opened.request(List.of(1, 2 + i), Optional.of("jargon"), 900).build()));
    }
    opened.lorikeet.model().close();
    for (Generation generation : generations) {
      assertEquals(Code.CLOSED, assertThrows(LorikeetException.class, generation::await).code());
    }
    assertEquals(
        Code.CLOSED,
        assertThrows(LorikeetException.class, () -> submit(List.of(1), Optional.empty())).code());
    assertEquals(0, opened.lorikeet.pool().stats().kvCachePages());
    assertEquals(0, opened.lorikeet.adapters().stats().leased());
  }
}
