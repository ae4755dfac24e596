package dev.lorikeet.jlama.faults;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.jlama.faults.Faults.Party;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Stores, pools, executors, routers, observers and subscribers that throw errors and exceptions at
 * random moments, while a model is opened, serves and is closed: every request ends, with its right
 * tokens or a failure that says what was thrown; a model goes on or tells why it has ended; nothing
 * is leaked, and the next one opens. {@code -Dlorikeet.kills=500} makes it more rounds, {@code
 * -Dlorikeet.fuzz.seed=1} the same again.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class ThirdPartyFaultsTest {
  private static final int ROUNDS = 10 * Integer.getInteger("lorikeet.kills", 3);
  private static final int REQUESTS = 10;
  private static final List<Party> PARTIES = List.of(Party.values());
  private static final List<String> ADAPTERS = List.of("a", "b", "c");
  private static final Logger LOGGER = Logger.getLogger("dev.lorikeet");

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final Faults faults = new Faults(new Random(seed + 1));
  private final Map<String, Integer> counts = new TreeMap<>();
  private final Map<Order, List<Integer>> expected = new HashMap<>();

  @TempDir Path directory;
  private Path model;
  private Plugins plugins;

  /**
   * A request.
   *
   * @param number of its prompt
   * @param adapter of none, an adapter or a router
   */
  private record Order(int number, String adapter) {
    List<Integer> prompt() {
      return new Random(number).ints(4 + 9 * number, 3, RandomModel.VOCABULARY).boxed().toList();
    }

    AdapterChoice choice() {
      return switch (adapter) {
        case "" -> AdapterChoice.none();
        case "request", "token" -> new AdapterChoice.Routed(adapter);
        default -> AdapterChoice.named(adapter);
      };
    }

    GenerationRequest request() {
      return GenerationRequest.tokens(prompt())
          .adapter(choice())
          .stop(StopConditions.maxTokens(8).ignoringEos())
          .build();
    }
  }

  private record RouterOfRequests(Faults faults) implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      faults.at(Party.ROUTER, "route of a request");
      return Mixture.of("b");
    }
  }

  private record RouterOfTokens(Faults faults) implements TokenRouter {
    @Override
    public Experts experts() {
      faults.at(Party.ROUTER, "experts");
      return new Experts(List.of("a", "c"), 1);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      faults.at(Party.ROUTER, "route of tokens");
      for (int t = 0; t < in.tokens(); t++) {
        out.choose(t, 1, 1f);
      }
    }
  }

  /** Asks for everything, and throws now and then. */
  private final class Subscriber implements Flow.Subscriber<GeneratedToken> {
    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      faults.at(Party.SUBSCRIBER, "onSubscribe");
      subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(GeneratedToken token) {
      faults.at(Party.SUBSCRIBER, "onNext");
    }

    @Override
    public void onError(Throwable failure) {
      faults.at(Party.SUBSCRIBER, "onError");
    }

    @Override
    public void onComplete() {
      faults.at(Party.SUBSCRIBER, "onComplete");
    }
  }

  @BeforeEach
  void write() throws IOException {
    LOGGER.setLevel(Level.OFF); // thousands of stack traces that nobody reads
    model =
        RandomModel.llama(3)
            .widths(64, 96)
            .layers(2)
            .type(ElementType.BF16)
            .write(directory.resolve("model"));
    var shape = new JlamaModelProvider().describe(model).shape();
    for (String name : ADAPTERS) {
      PeftAdapterWriter.write(directory.resolve(name), name.hashCode(), 8, shape);
    }
    plugins = FaultyPlugins.discover(Files.createDirectory(directory.resolve("services")), faults);
  }

  @AfterEach
  void logAgain() {
    LOGGER.setLevel(null);
  }

  /** Opens a model, the pool of which has room for some of what is asked for at a time. */
  private Lorikeet open() {
    return Lorikeet.builder(model)
        .plugins(plugins)
        .pagePool("faulty")
        .adapterStore("faulty")
        .loraExecutor("faulty")
        .pageBytes(4096)
        .poolBytes(80 * 4096)
        .modelOption("threads", "1")
        .modelOption("warm-up", "false")
        .modelOption("router-timeout", "0")
        .open();
  }

  private void fill(Lorikeet lorikeet) {
    ADAPTERS.forEach(name -> lorikeet.register(name, directory.resolve(name)));
    lorikeet.addRouter("request", new RouterOfRequests(faults));
    lorikeet.addRouter("token", new RouterOfTokens(faults));
  }

  private static List<Order> orders() {
    List<Order> orders = new ArrayList<>();
    for (int number = 0; number < 3; number++) {
      for (String adapter : List.of("", "a", "b", "c", "request", "token")) {
        orders.add(new Order(number, adapter));
      }
    }
    return orders;
  }

  @Test
  void whatThirdPartiesThrowEndsWhatItConcernsAndLeaksNothing() throws Exception {
    try (Lorikeet lorikeet = open()) {
      fill(lorikeet);
      for (Order order : orders()) {
        expected.put(order, lorikeet.submit(order.request()).await().tokens());
      }
    }
    for (int round = 0; round < ROUNDS; round++) {
      String told = "seed " + seed + ", round " + round;
      try {
        round();
      } catch (AssertionError | RuntimeException e) {
        throw new AssertionError(told, e);
      } finally {
        faults.disarm();
      }
      assertEquals(List.of(), faults.leaks(), told);
    }
    System.out.println("thrown, seed " + seed + ": " + counts + ", " + faults.counts());
  }

  private void round() throws Exception {
    Set<Party> parties = EnumSet.of(PARTIES.get(random.nextInt(PARTIES.size())));
    for (Party party : PARTIES) {
      if (random.nextInt(4) == 0) {
        parties.add(party);
      }
    }
    int rarity = List.of(5, 30, 200, 1000).get(random.nextInt(4));
    if (random.nextInt(4) == 0) {
      faults.arm(parties, rarity);
    }
    Lorikeet lorikeet;
    try {
      lorikeet = open();
    } catch (LorikeetException | Error e) {
      assertTold(e);
      count("opening failed");
      return;
    }
    try {
      faults.disarm();
      fill(lorikeet);
      faults.arm(parties, rarity);
      List<CompletableFuture<?>> results = new ArrayList<>();
      for (int i = 0; i < REQUESTS; i++) {
        submit(lorikeet).ifPresent(results::add);
      }
      for (CompletableFuture<?> result : results) {
        await(result);
      }
      faults.disarm();
      goesOnOrTellsWhy(lorikeet);
      if (random.nextInt(4) == 0) {
        faults.arm(parties, rarity);
      }
    } finally {
      close(lorikeet);
    }
  }

  private void close(Lorikeet lorikeet) {
    try {
      lorikeet.close();
    } catch (LorikeetException | Error e) {
      assertTold(e);
      count("closing failed");
    } finally {
      faults.disarm();
      lorikeet.close();
    }
    assertEquals(Health.closed(), lorikeet.health());
  }

  private void count(String what) {
    counts.merge(what, 1, Integer::sum);
  }

  private static void assertTold(Throwable failure) {
    if (!Faults.isTold(failure)) {
      throw new AssertionError("a failure that was not on purpose", failure);
    }
  }

  /** Submits something; empty if that failed at once. */
  private Optional<CompletableFuture<?>> submit(Lorikeet lorikeet) {
    List<Order> orders = orders();
    Order order = orders.get(random.nextInt(orders.size()));
    try {
      if (random.nextInt(6) == 0) {
        lorikeet.score(new Prompt.Tokens(order.prompt()), order.choice());
        return Optional.empty();
      }
      Generation generation = lorikeet.submit(order.request(), observer());
      if (random.nextInt(3) == 0) {
        generation.subscribe(new Subscriber());
      }
      return Optional.of(
          generation
              .completion()
              .thenApply(GenerationResult::tokens)
              .thenAccept(tokens -> assertEquals(expected.get(order), tokens, order.toString())));
    } catch (LorikeetException | Error e) {
      assertTold(e);
      count("refused " + (e instanceof LorikeetException known ? known.code() : "with an error"));
      return Optional.empty();
    }
  }

  private RequestObserver observer() {
    RequestObserver.Builder observer = RequestObserver.builder();
    if (random.nextInt(3) == 0) {
      observer.onToken(token -> faults.at(Party.OBSERVER, "onToken"));
    }
    if (random.nextInt(3) == 0) {
      observer.onLogits((index, logits) -> faults.at(Party.OBSERVER, "onLogits"));
    }
    if (random.nextInt(3) == 0) {
      observer.onHidden(
          Set.of(HiddenPoint.FINAL),
          (point, layer, first, rows) -> faults.at(Party.OBSERVER, "onHidden"));
    }
    return observer.build();
  }

  private void await(CompletableFuture<?> result) throws Exception {
    try {
      result.get(120, TimeUnit.SECONDS);
      count("right");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof AssertionError wrong) {
        throw wrong;
      }
      LorikeetException failure = assertInstanceOf(LorikeetException.class, e.getCause());
      assertTold(failure);
      count("failed " + failure.code());
    }
  }

  private void goesOnOrTellsWhy(Lorikeet lorikeet) {
    switch (lorikeet.health()) {
      case Health.Failed(LorikeetException reason) -> {
        assertTold(reason);
        LorikeetException refusal =
            assertThrows(
                LorikeetException.class,
                () -> lorikeet.submit(GenerationRequest.tokens(List.of(5)).maxTokens(1).build()));
        assertEquals(reason.code(), refusal.code());
        assertEquals(reason.id(), refusal.id());
        count("ended");
      }
      case Health healthy -> {
        assertEquals(Health.healthy(), healthy);
        for (Order order : orders()) {
          assertEquals(
              expected.get(order),
              lorikeet.submit(order.request()).await().tokens(),
              "afterwards, " + order);
        }
        assertEquals(0, lorikeet.adapters().stats().leased(), "leases between requests");
        count("went on");
      }
    }
  }
}
