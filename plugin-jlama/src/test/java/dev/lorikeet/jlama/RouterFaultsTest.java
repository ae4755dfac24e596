package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tiny.TinyModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Routers at fault end or leave alone their own requests, and never disturb another. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class RouterFaultsTest {
  private static final List<Integer> PROMPT = List.of(1, 500, 600, 700, 800);
  private static final int TOKENS = 8;
  private static final Experts EXPERTS = new Experts(List.of("scripture", "voyage"), 1);

  /** A router by what it does when asked. */
  private static final class ByToken implements TokenRouter {
    private final Supplier<Experts> experts;
    private final Supplier<RunningContext> context;
    private final BiConsumer<RoutingInput, RoutingOutput> rule;
    private int callsBefore;

    ByToken(
        Supplier<Experts> experts,
        Supplier<RunningContext> context,
        int callsBefore,
        BiConsumer<RoutingInput, RoutingOutput> rule) {
      this.experts = experts;
      this.context = context;
      this.callsBefore = callsBefore;
      this.rule = rule;
    }

    ByToken(int callsBefore, BiConsumer<RoutingInput, RoutingOutput> rule) {
      this(() -> EXPERTS, RunningContext.None::new, callsBefore, rule);
    }

    @Override
    public Experts experts() {
      return experts.get();
    }

    @Override
    public RunningContext context() {
      return context.get();
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      if (callsBefore-- <= 0) {
        rule.accept(in, out);
      }
    }

    @Override
    @SuppressWarnings("EqualsHashCode") // never to be called
    public boolean equals(Object other) {
      throw new IllegalStateException("a router's equality is its own affair");
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(this);
    }
  }

  private record ByLayer(int layer, BiConsumer<RoutingInput, RoutingOutput> rule)
      implements LayerRouter {
    @Override
    public Experts experts() {
      return EXPERTS;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      if (in.layer() == layer) {
        rule.accept(in, out);
      }
    }
  }

  private record ByRequest(Supplier<Mixture> rule) implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      return rule.get();
    }
  }

  private static void busy(long milliseconds) {
    long end = System.nanoTime() + milliseconds * 1_000_000;
    while (System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  private static void fails() {
    throw new IllegalStateException("on purpose");
  }

  // routers that break the contract
  @SuppressWarnings({"NullAway", "TypeParameterUnusedInFormals"})
  private static <T> T nothing() {
    return null;
  }

  private static Map<String, Router> atFault() {
    Map<String, Router> routers = new TreeMap<>();
    Map<String, BiConsumer<RoutingInput, RoutingOutput>> rules =
        Map.of(
            "throws", (in, out) -> fails(),
            "error",
                (in, out) -> {
                  throw new AssertionError("on purpose");
                },
            "not a number", (in, out) -> out.choose(0, 0, Float.NaN),
            "infinite", (in, out) -> out.choose(0, 0, Float.POSITIVE_INFINITY),
            "too many",
                (in, out) -> {
                  out.choose(0, 0, 1f);
                  out.choose(0, 1, 1f);
                },
            "no such expert", (in, out) -> out.choose(0, 2, 1f),
            "no such token", (in, out) -> out.choose(in.tokens(), 0, 1f),
            "slow", (in, out) -> busy(120));
    rules.forEach(
        (name, rule) -> {
          routers.put("token " + name, new ByToken(0, rule));
          routers.put("late " + name, new ByToken(3, rule));
          routers.put("layer " + name, new ByLayer(2, rule));
        });
    routers.put(
        "no experts",
        new ByToken(
            RouterFaultsTest::nothing, RunningContext.None::new, 0, RouterFaultsTest::sound));
    routers.put(
        "no context",
        new ByToken(() -> EXPERTS, RouterFaultsTest::nothing, 0, RouterFaultsTest::sound));
    routers.put(
        "context throws",
        new ByToken(
            () -> EXPERTS,
            () -> {
              fails();
              return new RunningContext.None();
            },
            0,
            RouterFaultsTest::sound));
    routers.put(
        "stranger",
        new ByToken(
            () -> new Experts(List.of("nobody"), 1),
            RunningContext.None::new,
            0,
            RouterFaultsTest::sound));
    routers.put("request none", new ByRequest(RouterFaultsTest::nothing));
    routers.put("request stranger", new ByRequest(() -> Mixture.of("nobody")));
    routers.put(
        "request throws",
        new ByRequest(
            () -> {
              fails();
              return Mixture.none();
            }));
    routers.put(
        "request slow",
        new ByRequest(
            () -> {
              busy(120);
              return Mixture.none();
            }));
    return routers;
  }

  private static void sound(RoutingInput in, RoutingOutput out) {
    out.choose(0, 0, 1f);
  }

  private static Opened open(String fallback, String timeout) {
    TinyModel tiny = TinyModel.extract();
    return Opened.of(
        tiny,
        Opened.builder(tiny)
            .modelOption("router-timeout", timeout)
            .modelOption("router-fallback", fallback));
  }

  private static GenerationRequest routed(String router) {
    return GenerationRequest.tokens(PROMPT)
        .router(router)
        .stop(StopConditions.maxTokens(TOKENS).ignoringEos())
        .reportMixture()
        .build();
  }

  private static List<Integer> tokens(Opened opened, Optional<String> adapter) {
    return opened.lorikeet.submit(Opened.request(PROMPT, adapter, TOKENS).build()).await().tokens();
  }

  @Test
  void aRouterAtFaultFailsItsOwnRequestAndNoOther() {
    try (Opened opened = open("fail", "100")) {
      List<Integer> expected = tokens(opened, Optional.of("voyage"));
      atFault()
          .forEach(
              (name, router) -> {
                opened.lorikeet.addRouter(name, router);
                Generation neighbour =
                    opened.lorikeet.submit(
                        Opened.request(PROMPT, Optional.of("voyage"), TOKENS).build());
                LorikeetException e =
                    assertThrows(
                        LorikeetException.class,
                        () -> opened.lorikeet.submit(routed(name)).await(),
                        name);
                assertEquals(Code.ROUTER_FAILED, e.code(), name);
                assertTrue(e.getMessage().contains("router '" + name + "'"), e.getMessage());
                assertEquals(expected, neighbour.await().tokens(), name);
              });
      assertEquals(0, opened.lorikeet.adapters().stats().leased());
    }
  }

  @Test
  void aScoreWhoseRouterFailsInItsOnlyStepFails() {
    try (Opened opened = open("fail", "100")) {
      opened.lorikeet.addRouter("broken", new ByToken(0, (in, out) -> fails()));
      LorikeetException e =
          assertThrows(
              LorikeetException.class,
              () ->
                  opened.lorikeet.score(
                      new Prompt.Tokens(PROMPT), new AdapterChoice.Routed("broken")));
      assertEquals(Code.ROUTER_FAILED, e.code());
    }
  }

  @Test
  void theRequestGoesOnWithTheBaseModelWhereThatIsConfigured() {
    try (Opened opened = open("base", "100")) {
      List<Integer> base = tokens(opened, Optional.empty());
      atFault()
          .forEach(
              (name, router) -> {
                opened.lorikeet.addRouter(name, router);
                Generation generation = opened.lorikeet.submit(routed(name));
                // Before a late fault, and on other tokens of its step, these choose nothing
                // either.
                assertEquals(base, generation.await().tokens(), name);
                List<Mixture> mixtures =
                    generation.stream().map(token -> token.mixture().orElseThrow()).toList();
                assertTrue(mixtures.stream().allMatch(Mixture.none()::equals), name);
              });
    }
  }

  @Test
  void tokensBeforeTheFaultKeepTheirAdapters() {
    try (Opened opened = open("base", "0")) {
      ByToken router =
          new ByToken(
              0,
              new BiConsumer<>() {
                private int calls;

                @Override
                public void accept(RoutingInput in, RoutingOutput out) {
                  if (calls++ == 4) {
                    fails();
                  }
                  for (int t = 0; t < in.tokens(); t++) {
                    out.choose(t, 1, 1f);
                  }
                }
              });
      opened.lorikeet.addRouter("tires", router);
      List<Mixture> mixtures = new ArrayList<>();
      opened.lorikeet.submit(routed("tires")).stream()
          .forEach(token -> mixtures.add(token.mixture().orElseThrow()));
      assertEquals(TOKENS, mixtures.size());
      for (int i = 0; i < TOKENS; i++) {
        assertEquals(i < 4 ? Mixture.of("voyage") : Mixture.none(), mixtures.get(i), "token " + i);
      }
    }
  }

  @Test
  void aRequestMayNotAskForARouterThatIsNotThereWhateverTheFallback() {
    try (Opened opened = open("base", "0")) {
      LorikeetException e =
          assertThrows(LorikeetException.class, () -> opened.lorikeet.submit(routed("nowhere")));
      assertEquals(Code.INVALID_REQUEST, e.code());
    }
  }

  @Test
  void wrongOptionsAreRefused() {
    TinyModel tiny = TinyModel.extract();
    for (Map.Entry<String, String> wrong :
        List.of(
            Map.entry("router-timeout", "-1"),
            Map.entry("router-timeout", "soon"),
            Map.entry("router-fallback", "voyage"))) {
      LorikeetException e =
          assertThrows(
              LorikeetException.class,
              () ->
                  Opened.builder(tiny)
                      .modelOption(wrong.getKey(), wrong.getValue())
                      .open()
                      .close());
      assertTrue(String.valueOf(e.getMessage()).contains(wrong.getKey()), e.getMessage());
    }
  }
}
