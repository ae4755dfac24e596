package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.HostedModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A decoder that fails ends its model, which tells why, frees everything and opens again. */
@Timeout(300)
class DecoderFaultsTest {
  private static final Logger LOGGER = Logger.getLogger(Scheduler.class.getName());

  @BeforeAll
  static void logNoThousandStackTraces() {
    LOGGER.setLevel(Level.OFF);
  }

  @AfterAll
  static void logAgain() {
    LOGGER.setLevel(null);
  }

  private static final List<Supplier<Throwable>> FAULTS =
      List.of(
          () -> new OutOfMemoryError("Java heap space"),
          () -> new StackOverflowError(),
          () -> new AssertionError("a defect"),
          () -> new IllegalStateException("a defect"),
          () -> new LorikeetException(Code.MODEL_INVALID, "model.safetensors: changed"));

  /** Throws at one of the calls of a decoder. */
  private static final class At implements FaultyDecoder.Fault {
    private final AtomicInteger calls = new AtomicInteger();
    private final int call;
    private final Throwable fault;

    At(int call, Throwable fault) {
      this.call = call;
      this.fault = fault;
    }

    @Override
    public void before(String method) {
      if (calls.getAndIncrement() == call) {
        throw DecoderFaultsTest.<RuntimeException>unchecked(fault);
      }
    }
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
  private static <E extends Throwable> E unchecked(Throwable fault) throws E {
    throw (E) fault;
  }

  private static GenerationRequest request(int tokens) {
    return SteppedServing.request(List.of(5, 6, 7), tokens).build();
  }

  private static LorikeetException failure(Generation generation) {
    return assertThrows(LorikeetException.class, generation::await);
  }

  @Test
  void anErrorEndsTheModelAndItsReasonIsKept() {
    OutOfMemoryError error = new OutOfMemoryError("Java heap space");
    try (FakeHost host = new FakeHost()) {
      HostedModel model = host.open(new At(20, error));
      assertEquals(Health.healthy(), model.health());
      LorikeetException running = failure(model.submit(request(100)));
      LorikeetException later =
          assertThrows(LorikeetException.class, () -> model.submit(request(1)));
      Health.Failed health = assertInstanceOf(Health.Failed.class, model.health());
      for (LorikeetException failure : List.of(running, later, health.reason())) {
        assertAll(
            () -> assertEquals(Code.INTERNAL, failure.code()),
            () -> assertEquals(health.reason().id(), failure.id()),
            () -> assertTrue(failure.getMessage().contains("Java heap space"), failure::toString),
            () -> assertTrue(failure.getMessage().contains("close it"), failure::toString));
      }
      assertSame(error, health.reason().getCause());
      model.close();
      assertEquals(Health.closed(), model.health());
      host.expectNothingHeld();
    }
  }

  @Test
  void theReasonOfADecoderKeepsItsCode() {
    LorikeetException reason = new LorikeetException(Code.MODEL_INVALID, "weights: changed");
    try (FakeHost host = new FakeHost();
        HostedModel model = host.open(new At(9, reason))) {
      LorikeetException running = failure(model.submit(request(100)));
      assertEquals(Code.MODEL_INVALID, running.code());
      assertTrue(running.getMessage().startsWith("weights: changed"), running::toString);
      assertEquals(reason.id(), running.id());
      CompletableFuture<?> score =
          model.score(ScoreRequest.of(new Prompt.Tokens(List.of(5, 6)), AdapterChoice.none()));
      ExecutionException later = assertThrows(ExecutionException.class, score::get);
      assertEquals(
          Code.MODEL_INVALID, assertInstanceOf(LorikeetException.class, later.getCause()).code());
    }
  }

  @Test
  void requestsThatComeAsTheModelFailAreToldToo() throws Exception {
    for (int round = 0; round < 200; round++) {
      CountDownLatch failing = new CountDownLatch(1);
      FaultyDecoder.Fault fault =
          new FaultyDecoder.Fault() {
            @Override
            public void before(String method) {
              failing.countDown();
              throw new AssertionError("a defect");
            }
          };
      try (FakeHost host = new FakeHost();
          HostedModel model = host.open(fault)) {
        Generation first = model.submit(request(1));
        failing.await();
        List<Generation> taken = new ArrayList<>();
        LorikeetException refusal = null;
        while (refusal == null && taken.size() < 40) {
          try {
            taken.add(model.submit(request(1)));
          } catch (LorikeetException e) {
            refusal = e;
          }
        }
        taken.add(first);
        for (Generation generation : taken) {
          assertEquals(Code.INTERNAL, failure(generation).code());
        }
      }
    }
  }

  @Test
  void faultsAtRandomMomentsLeakNothing() throws Exception {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    String told = "seed " + seed;
    try (FakeHost host = new FakeHost()) {
      for (int round = 0; round < 500; round++) {
        Throwable fault = FAULTS.get(random.nextInt(FAULTS.size())).get();
        Code code = fault instanceof LorikeetException known ? known.code() : Code.INTERNAL;
        HostedModel model = host.open(new At(random.nextInt(120), fault));
        List<CompletableFuture<?>> results = new ArrayList<>();
        try {
          for (int i = 0; i < 12; i++) {
            results.add(submit(model, random));
          }
        } catch (LorikeetException e) {
          assertEquals(code, e.code(), told);
        }
        boolean closesEarly = random.nextInt(4) == 0;
        if (closesEarly) {
          model.close();
        }
        for (CompletableFuture<?> result : results) {
          try {
            result.get(60, TimeUnit.SECONDS);
          } catch (ExecutionException e) {
            Code found = assertInstanceOf(LorikeetException.class, e.getCause(), told).code();
            assertTrue(
                found == code || (closesEarly && found == Code.CLOSED), () -> told + ": " + found);
          }
        }
        model.close();
        host.expectNothingHeld();
      }
    }
  }

  private static CompletableFuture<?> submit(HostedModel model, Random random) {
    List<Integer> prompt = SteppedServing.prompt(random, 1 + random.nextInt(30));
    String adapter = "a" + random.nextInt(SteppedServing.ADAPTERS);
    if (random.nextInt(5) == 0) {
      return model.score(ScoreRequest.of(new Prompt.Tokens(prompt), AdapterChoice.named(adapter)));
    }
    GenerationRequest.Builder request = SteppedServing.request(prompt, 1 + random.nextInt(12));
    if (random.nextBoolean()) {
      request.adapter(adapter);
    }
    return model.submit(request.build(), RequestObserver.none()).completion();
  }
}
