package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.HostedModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What an application's own code may do where the model calls it, and what it is refused. */
@Timeout(60)
class CallbackTest {
  private final FakeHost host = new FakeHost();

  /** Holds the decoding thread up. */
  private volatile CountDownLatch gate = new CountDownLatch(0);

  private final HostedModel model =
      host.open(
          new FaultyDecoder.Fault() {
            @Override
            public void before(String method) {
              try {
                gate.await();
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            }
          });

  @AfterEach
  void close() {
    model.close();
    host.expectNothingHeld();
    host.close();
  }

  private static GenerationRequest request() {
    return SteppedServing.request(List.of(5, 6, 7), 4).build();
  }

  private static <T> T soon(CompletableFuture<T> future) throws Exception {
    return future.get(30, TimeUnit.SECONDS);
  }

  /** Runs an action in a callback and returns what it threw there. */
  private Throwable thrownIn(
      Function<Runnable, RequestObserver> callback, Consumer<HostedModel> action) throws Exception {
    CompletableFuture<Throwable> thrown = new CompletableFuture<>();
    RequestObserver observer =
        callback.apply(
            () -> {
              try {
                action.accept(model);
                thrown.complete(new AssertionError("nothing was thrown"));
              } catch (RuntimeException | Error e) {
                thrown.complete(e);
              }
            });
    soon(model.submit(request(), observer).completion());
    return soon(thrown);
  }

  private static Stream<Function<Runnable, RequestObserver>> callbacks() {
    return Stream.of(
        action -> RequestObserver.tokens(token -> action.run()),
        action -> RequestObserver.logits((index, logits) -> action.run()),
        action ->
            RequestObserver.hidden(
                Set.of(HiddenPoint.FINAL), (point, layer, first, rows) -> action.run()));
  }

  private static void expectRefused(Throwable thrown) {
    LorikeetException refusal = assertInstanceOf(LorikeetException.class, thrown);
    assertEquals(Code.WRONG_THREAD, refusal.code());
    assertTrue(refusal.getMessage().contains("decoding thread"), refusal::toString);
  }

  @ParameterizedTest
  @MethodSource("callbacks")
  void closingInACallbackIsRefusedAndTheModelGoesOn(Function<Runnable, RequestObserver> callback)
      throws Exception {
    expectRefused(thrownIn(callback, HostedModel::close));
    assertEquals(Health.healthy(), model.health());
    soon(model.submit(request()).completion());
  }

  @Test
  void closingInACallbackIsRefusedWhileAnotherThreadCloses() throws Exception {
    CompletableFuture<Throwable> thrown = new CompletableFuture<>();
    CompletableFuture<Void> closed = new CompletableFuture<>();
    Generation generation =
        model.submit(
            SteppedServing.request(List.of(5, 6, 7), 100).build(),
            RequestObserver.tokens(
                token -> {
                  Thread closing = Thread.ofPlatform().start(model::close);
                  while (closing.getState() == Thread.State.NEW
                      || closing.getState() == Thread.State.RUNNABLE) {
                    Thread.onSpinWait(); // until it waits for this thread
                  }
                  try {
                    model.close();
                  } catch (LorikeetException e) {
                    thrown.complete(e);
                    throw e;
                  } finally {
                    closed.complete(null);
                  }
                }));
    expectRefused(soon(thrown));
    assertThrows(ExecutionException.class, () -> soon(generation.completion()));
  }

  @Test
  void waitingInACallbackIsRefused() throws Exception {
    List<Consumer<HostedModel>> waits =
        List.of(
            m -> m.submit(request()).await(),
            m -> m.submit(request()).completion().join(),
            m -> m.submit(request()).stream().forEach(token -> {}),
            m ->
                m.score(ScoreRequest.of(new Prompt.Tokens(List.of(5, 6)), AdapterChoice.none()))
                    .join());
    for (Consumer<HostedModel> wait : waits) {
      expectRefused(thrownIn(action -> RequestObserver.tokens(token -> action.run()), wait));
    }
  }

  @Test
  void aCallbackMaySubmitAndCancel() throws Exception {
    CompletableFuture<Generation> inner = new CompletableFuture<>();
    soon(
        model
            .submit(request(), RequestObserver.tokens(t -> inner.complete(model.submit(request()))))
            .completion());
    soon(soon(inner).completion());
  }

  @Test
  void aRouterThatClosesFailsItsOwnRequest() throws Exception {
    model.addRouter(
        "closing",
        new TokenRouter() {
          @Override
          public Experts experts() {
            return new Experts(List.of("a1"), 1);
          }

          @Override
          public void route(RoutingInput in, RoutingOutput out) {
            model.close();
          }
        });
    Generation generation =
        model.submit(SteppedServing.request(List.of(5, 6), 2).router("closing").build());
    ExecutionException failure =
        assertThrows(ExecutionException.class, () -> soon(generation.completion()));
    assertEquals(
        Code.ROUTER_FAILED, assertInstanceOf(LorikeetException.class, failure.getCause()).code());
    soon(model.submit(request()).completion());
  }

  @Test
  void subscribersMayClose() throws Exception {
    CompletableFuture<Health> closed = new CompletableFuture<>();
    model
        .submit(request())
        .subscribe(
            new Flow.Subscriber<>() {
              @Override
              public void onSubscribe(Flow.Subscription subscription) {
                subscription.request(Long.MAX_VALUE);
              }

              @Override
              public void onNext(GeneratedToken token) {
                model.close();
                closed.complete(model.health());
              }

              @Override
              public void onError(Throwable failure) {}

              @Override
              public void onComplete() {}
            });
    assertEquals(Health.closed(), soon(closed));
  }

  @Test
  void whatDependsOnAResultMayClose() throws Exception {
    gate = new CountDownLatch(1);
    CompletableFuture<Health> health =
        model.submit(request()).completion().thenApply(result -> healthOnceClosed());
    gate.countDown();
    assertEquals(Health.closed(), soon(health));
  }

  @Test
  void whatDependsOnAScoreMayClose() throws Exception {
    gate = new CountDownLatch(1);
    CompletableFuture<Health> health =
        model
            .score(ScoreRequest.of(new Prompt.Tokens(List.of(5, 6, 7)), AdapterChoice.none()))
            .thenApply(result -> healthOnceClosed());
    gate.countDown();
    assertEquals(Health.closed(), soon(health));
  }

  private Health healthOnceClosed() {
    model.close();
    return model.health();
  }

  @Test
  void anInterruptThatACallbackLeavesDoesNotKeepTheThreadBusy() throws Exception {
    CompletableFuture<Thread> decoding = new CompletableFuture<>();
    soon(
        model
            .submit(
                request(),
                RequestObserver.tokens(
                    token -> {
                      decoding.complete(Thread.currentThread());
                      Thread.currentThread().interrupt();
                    }))
            .completion());
    Thread thread = soon(decoding);
    while (thread.isInterrupted() || thread.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
  }
}
