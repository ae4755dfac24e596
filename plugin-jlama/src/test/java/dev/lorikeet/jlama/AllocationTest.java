package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.StopConditions;
import io.opentelemetry.api.GlobalOpenTelemetry;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the decoding thread allocates when nothing but decoding goes on. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class AllocationTest {
  private static final int SEQUENCES = 8;
  private static final int WINDOW = 100;
  private static final int WINDOWS = 4;

  /**
   * 0 to 1.6 were measured, whatever the requests: where the compiler leaves it, a record of the
   * pool's counts for each block of keys and values.
   */
  private static final double BYTES_PER_TOKEN = 4;

  /** A token that a callback sees is an object with a text: about 80 were measured. */
  private static final double BYTES_PER_CALLBACK = 120;

  private static final int ATTEMPTS = 20;

  private static final Opened OPENED = Opened.tiny();

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @BeforeAll
  static void register() {
    for (int i = 0; i < SEQUENCES; i++) {
      String name = OPENED.tiny.adapterNames().get(i % OPENED.tiny.adapterNames().size());
      OPENED.lorikeet.register("adapter-" + i, OPENED.tiny.adapter(name));
    }
    OPENED.lorikeet.addRouter("token-gate", "gate", Map.of("path", OPENED.tiny.gate().toString()));
    OPENED.lorikeet.addRouter(
        "layer-gate", "gate", Map.of("path", OPENED.tiny.layerGate().toString()));
  }

  @AfterAll
  static void close() {
    OPENED.close();
  }

  /** What the requests ask for, beside an adapter for each or a router. */
  enum Kind {
    GREEDY,
    SAMPLED,
    STOP_STRINGS,
    SUBSCRIBED,
    STREAMED,
    ROUTED_BY_TOKEN,
    ROUTED_BY_LAYER,
    CALLED_BACK;

    GenerationRequest request(int i, String adapter) {
      StopConditions stop =
          StopConditions.maxTokens(WINDOW * WINDOWS + 1)
              .withStrings(
                  this == STOP_STRINGS ? List.of("\u0000never", "nor this\u0000") : List.of())
              .ignoringEos();
      var request = GenerationRequest.tokens(List.of(1, 50 + i)).adapter(adapter).stop(stop);
      if (this == SAMPLED) {
        request.sampling(
            switch (i % 4) {
              case 0 -> Sampling.of(1f, i);
              case 1 -> Sampling.of(0.8f, i).withTopK(40);
              case 2 -> Sampling.of(0.8f, i).withTopP(0.9f);
              default -> Sampling.of(1.2f, i).withTopK(100).withTopP(0.95f);
            });
      }
      if (this == ROUTED_BY_TOKEN) {
        request.router("token-gate");
      }
      if (this == ROUTED_BY_LAYER) {
        request.router("layer-gate");
      }
      return request.build();
    }

    RequestObserver observer() {
      return this == CALLED_BACK ? RequestObserver.tokens(token -> {}) : RequestObserver.none();
    }
  }

  @ParameterizedTest
  @EnumSource
  void theDecodingThreadAllocatesNothingForATokenButWhatACallbackSees(Kind kind) {
    double limit = kind == Kind.CALLED_BACK ? BYTES_PER_CALLBACK : BYTES_PER_TOKEN;
    double least = Double.MAX_VALUE;
    // Code allocates until it is compiled, and when that is done nobody tells.
    for (int i = 0; i < ATTEMPTS && least >= limit; i++) {
      least = Math.min(least, leastBytesPerToken(kind));
    }
    assertTrue(least < limit, "bytes per token: " + least);
  }

  /**
   * Returns what the decoding thread allocates per token in the best stretch of a generation. One
   * sequence is read always, to know when a stretch begins.
   */
  private double leastBytesPerToken(Kind kind) {
    long thread = decodingThread();
    List<Generation> generations = new ArrayList<>();
    List<CompletableFuture<Integer>> readers = new ArrayList<>();
    for (int i = 0; i < SEQUENCES; i++) {
      generations.add(OPENED.lorikeet.submit(kind.request(i, "adapter-" + i), kind.observer()));
    }
    for (Generation generation : generations.subList(1, SEQUENCES)) {
      switch (kind) {
        case SUBSCRIBED -> readers.add(Counter.of(generation));
        case STREAMED -> readers.add(CompletableFuture.supplyAsync(() -> count(generation)));
        default -> {}
      }
    }
    double least = Double.MAX_VALUE;
    long before = Long.MAX_VALUE;
    try (Stream<GeneratedToken> stream = generations.getFirst().stream()) {
      for (Iterator<GeneratedToken> tokens = stream.iterator(); tokens.hasNext(); ) {
        if (tokens.next().index() % WINDOW == 0) {
          long now = threads.getThreadAllocatedBytes(thread);
          if (before != Long.MAX_VALUE) {
            least = Math.min(least, (now - before) / (double) (WINDOW * SEQUENCES));
          }
          before = now;
        }
      }
    }
    for (Generation generation : generations) {
      assertEquals(WINDOW * WINDOWS + 1, generation.await().tokens().size());
    }
    for (CompletableFuture<Integer> reader : readers) {
      assertEquals(WINDOW * WINDOWS + 1, reader.join());
    }
    return least;
  }

  private static long decodingThread() {
    CompletableFuture<Long> id = new CompletableFuture<>();
    OPENED
        .lorikeet
        .submit(
            Opened.request(List.of(1), Optional.empty(), 1).build(),
            RequestObserver.tokens(token -> id.complete(Thread.currentThread().threadId())))
        .await();
    return id.join();
  }

  private static int count(Generation generation) {
    try (Stream<GeneratedToken> stream = generation.stream()) {
      return (int) stream.count();
    }
  }

  /** A subscriber that asks for one token at a time. */
  private static final class Counter implements Flow.Subscriber<GeneratedToken> {
    private final CompletableFuture<Integer> count = new CompletableFuture<>();
    private final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    private int seen;

    static CompletableFuture<Integer> of(Generation generation) {
      Counter counter = new Counter();
      generation.subscribe(counter);
      return counter.count;
    }

    @Override
    public void onSubscribe(Flow.Subscription s) {
      subscription.complete(s);
      s.request(1);
    }

    @Override
    public void onNext(GeneratedToken token) {
      seen++;
      subscription.join().request(1);
    }

    @Override
    public void onError(Throwable failure) {
      count.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
      count.complete(seen);
    }
  }

  @Test
  void openingAModelLeavesTheGlobalTelemetryToTheApplication() {
    OPENED.lorikeet.submit(Opened.request(List.of(1), Optional.empty(), 2).build()).await();
    assertFalse(GlobalOpenTelemetry.isSet());
  }
}
