package dev.lorikeet.conformance.router;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.ProviderRules;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Rules R1 to R11 as tests, for routers of every scope. */
public abstract class RouterRules extends ProviderRules {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(3)
          .hidden(64)
          .intermediate(96)
          .heads(4)
          .kvHeads(2)
          .headDim(16)
          .vocabulary(320)
          .build();
  private static final MemoryAdapter.Draw ORDINARY = random -> (float) random.nextGaussian();

  protected RouterRules() {}

  /** Opens a router that the suite closes. */
  protected abstract Router createRouter(RouterConfig config);

  @Override
  protected abstract Optional<RouterProvider> provider();

  @Override
  protected final void openAndClose(Map<String, String> options) {
    RouterProvider provider = provider().orElseThrow();
    if (options.equals(options())) {
      openRouter().close();
    } else {
      provider.open(config(options)).close();
    }
  }

  /** Opens the router; one that must have options cannot be judged without. */
  private Router openRouter() {
    try {
      return createRouter(config(options()));
    } catch (IllegalArgumentException e) {
      if (!options().isEmpty()) {
        throw e;
      }
      throw Trial.notApplicable("it does not open without options: " + e.getMessage());
    }
  }

  private static RouterConfig config(Map<String, String> options) {
    return RouterConfig.of(
            ModelInfo.builder(Path.of("no-such-model"), "llama", SHAPE)
                .weightType("F32")
                .maxPositions(512)
                .eosTokens(Set.of(2))
                .build())
        .withOptions(options);
  }

  /** A router that decides for tokens, whatever its scope. */
  private final class Subject implements AutoCloseable {
    final Router router;
    final Experts experts;
    final boolean wantsContext;
    final int layers;

    Subject() {
      router = openRouter();
      switch (router) {
        case TokenRouter r -> {
          experts = r.experts();
          wantsContext = !(r.context() instanceof RunningContext.None);
          layers = 1;
        }
        case LayerRouter r -> {
          experts = r.experts();
          wantsContext = false;
          layers = SHAPE.layers();
        }
        case RequestRouter r -> {
          r.close();
          throw Trial.notApplicable("it routes requests, not tokens");
        }
      }
    }

    /** Asks for decisions; whatever the router throws comes through. */
    List<String> ask(Rows rows, int layer) {
      RoutingOutput out = new RoutingOutput().reset(rows.tokens, experts);
      RoutingInput in = rows.input(layer, wantsContext);
      switch (router) {
        case TokenRouter r -> r.route(in, out);
        case LayerRouter r -> r.route(in, out);
        case RequestRouter r -> throw new IllegalStateException(r.toString());
      }
      List<String> decisions = new ArrayList<>();
      for (int t = 0; t < rows.tokens; t++) {
        StringBuilder text = new StringBuilder();
        for (int slot = 0; slot < out.count(t); slot++) {
          text.append(out.expert(t, slot)).append('*').append(out.weight(t, slot)).append(' ');
        }
        decisions.add(text.toString());
      }
      return decisions;
    }

    /** Asks for decisions where it is not the question whether there are any. */
    List<String> decide(Rows rows, int layer) {
      try {
        return ask(rows, layer);
      } catch (RuntimeException e) {
        throw Trial.notApplicable("R2 or R5 has more to say: it throws " + e);
      }
    }

    @Override
    public void close() {
      router.close();
    }
  }

  /** Inputs of some tokens. */
  private final class Rows {
    final int tokens;
    final GuardedMatrix hidden;
    final GuardedMatrix context;

    Rows(int tokens, int padding, MemoryAdapter.Draw draw) {
      this.tokens = tokens;
      hidden = matrix(tokens, padding, draw);
      context = matrix(tokens, padding, draw);
    }

    /** Some rows of others, in this order. */
    Rows(Rows from, int... order) {
      tokens = order.length;
      hidden = chosen(from.hidden, order);
      context = chosen(from.context, order);
    }

    private GuardedMatrix matrix(int tokens, int padding, MemoryAdapter.Draw draw) {
      GuardedMatrix matrix =
          new GuardedMatrix(
              ElementType.F32, tokens + Math.min(padding, 2), SHAPE.hidden(), padding, 0);
      for (int t = 0; t < tokens; t++) {
        for (int i = 0; i < SHAPE.hidden(); i++) {
          matrix.set(t, i, draw.next(trial.random()));
        }
      }
      return matrix.remember();
    }

    private GuardedMatrix chosen(GuardedMatrix from, int... order) {
      GuardedMatrix matrix = new GuardedMatrix(ElementType.F32, order.length, from.columns(), 0, 0);
      for (int t = 0; t < order.length; t++) {
        for (int i = 0; i < from.columns(); i++) {
          matrix.set(t, i, from.get(order[t], i));
        }
      }
      return matrix.remember();
    }

    RoutingInput input(int layer, boolean withContext) {
      return RoutingInput.of(
          tokens,
          layer,
          hidden.tensor(),
          withContext ? Optional.of(context.tensor()) : Optional.empty());
    }
  }

  @Test
  public final void required_R1_expertsAndContextAreTheSameEveryTime() {
    try (Subject subject = new Subject()) {
      for (int i = 0; i < 5; i++) {
        switch (subject.router) {
          case TokenRouter r -> {
            assertEquals(subject.experts, r.experts(), "experts");
            assertEquals(
                subject.wantsContext, !(r.context() instanceof RunningContext.None), "context");
            assertEquals(r.context(), r.context(), "context");
          }
          case LayerRouter r -> assertEquals(subject.experts, r.experts(), "experts");
          case RequestRouter r -> throw new IllegalStateException(r.toString());
        }
        subject.decide(new Rows(3, 0, ORDINARY), i % subject.layers);
      }
    }
  }

  @Test
  public final void required_R2_choicesAreValid() {
    try (Subject subject = new Subject()) {
      for (int round = 0; round < trial.trials(20); round++) {
        Rows rows = new Rows(trial.between(1, 40), 0, ORDINARY);
        int layer = round % subject.layers;
        // The buffer refuses what the rule forbids.
        assertDoesNotThrow(() -> subject.ask(rows, layer), "route");
      }
    }
  }

  @Test
  public final void required_R3_theSameRowsGiveTheSameChoice() {
    try (Subject subject = new Subject();
        Subject twin = new Subject()) {
      for (int layer = 0; layer < subject.layers; layer++) {
        Rows rows = new Rows(30, 0, ORDINARY);
        List<String> first = subject.decide(rows, layer);
        for (int i = 0; i < trial.trials(4); i++) {
          subject.decide(new Rows(trial.between(1, 50), 0, ORDINARY), layer);
          assertEquals(first, subject.decide(rows, layer), "decisions on the same rows");
        }
        assertEquals(first, twin.decide(rows, layer), "decisions of a router opened likewise");
      }
    }
  }

  @Test
  public final void required_R4_aDecisionDependsOnItsTokenAlone() {
    try (Subject subject = new Subject()) {
      for (int round = 0; round < trial.trials(3); round++) {
        int layer = round % subject.layers;
        Rows rows = new Rows(16, 0, ORDINARY);
        List<String> together = subject.decide(rows, layer);
        int[] reversed = new int[16];
        for (int t = 0; t < 16; t++) {
          reversed[t] = 15 - t;
          int token = t;
          assertEquals(
              together.get(t),
              subject.decide(new Rows(rows, t), layer).getFirst(),
              () -> "decision for token " + token + " alone");
        }
        assertEquals(
            together.reversed(),
            subject.decide(new Rows(rows, reversed), layer),
            "decisions in reversed order");
        assertEquals(
            List.of(together.get(3), together.get(3), together.get(9)),
            subject.decide(new Rows(rows, 3, 3, 9), layer),
            "decisions for a token that stands there twice");
      }
    }
  }

  @Test
  public final void required_R5_anyNumberOfTokensAndStrideIsAccepted() {
    try (Subject subject = new Subject()) {
      for (int tokens : new int[] {1, 2, 17, trial.trials(1000)}) {
        Rows dense = new Rows(tokens, 0, ORDINARY);
        assertDoesNotThrow(() -> subject.ask(dense, 0), () -> "route of " + tokens + " tokens");
      }
      Rows padded = new Rows(19, 13, ORDINARY);
      int[] order = java.util.stream.IntStream.range(0, 19).toArray();
      List<String> decisions =
          assertDoesNotThrow(() -> subject.ask(padded, 0), "route of rows that lie apart");
      assertEquals(
          subject.decide(new Rows(padded, order), 0), decisions, "decisions on rows apart");
    }
  }

  @Test
  public final void required_R6_inputsStayAsTheyWere() {
    try (Subject subject = new Subject()) {
      for (int layer = 0; layer < subject.layers; layer++) {
        Rows rows = new Rows(20, 5, ORDINARY);
        subject.decide(rows, layer);
        rows.hidden.expectUnchanged("hidden");
        rows.context.expectUnchanged("context");
      }
    }
  }

  @Test
  public final void stochastic_R7_requestRoutersChooseRegisteredAdaptersFromAnyThread() {
    try (Router router = openRouter()) {
      if (!(router instanceof RequestRouter requests)) {
        throw Trial.notApplicable("it routes tokens, not requests");
      }
      List<String> names = List.of("adapter", "code", "english", "law", "medicine", "zulu");
      long seed = trial.random().nextLong();
      Crew.run(
          4,
          trial.patience(),
          thread -> {
            var random = new SplittableRandom(seed + thread);
            for (int i = 0; i < trial.trials(200); i++) {
              List<String> registered =
                  names.stream().filter(name -> random.nextInt(3) > 0).toList();
              Mixture mixture = requests.route(context(registered, random));
              assertTrue(mixture.shares().size() <= 16, "adapters of a mixture: at most 16");
              for (Mixture.Share share : mixture.shares()) {
                assertTrue(
                    registered.contains(share.adapter()),
                    () -> "chose '" + share.adapter() + "', registered are " + registered);
              }
            }
          });
    }
  }

  private static RequestContext context(List<String> registered, SplittableRandom random) {
    String text = random.nextInt(4) == 0 ? "" : "Ein Fall für das Gericht " + random.nextInt();
    return RequestContext.builder()
        .text(text)
        .tokens(List.of(random.nextInt(320), random.nextInt(320)))
        .tenant(random.nextBoolean() ? "" : "tenant")
        .attributes(random.nextBoolean() ? Map.of() : Map.of("language", "de"))
        .adapters(registered)
        .build();
  }

  @Test
  public final void untested_R8_noTensorOfACallIsKept() {
    untested("what a router keeps can't be seen from outside");
  }

  @Test
  public final void required_R9_extremeInputsAreDecidedOn() {
    try (Subject subject = new Subject()) {
      subject.decide(new Rows(4, 0, ORDINARY), 0);
      List<MemoryAdapter.Draw> extremes =
          List.of(
              random -> 0f,
              random -> -0f,
              random -> random.nextBoolean() ? Float.MAX_VALUE : -Float.MAX_VALUE,
              random -> Float.MAX_VALUE,
              random -> Float.MIN_VALUE,
              random -> (float) (1e30 * random.nextGaussian()),
              random -> (float) (1e-42 * random.nextGaussian()));
      for (MemoryAdapter.Draw extreme : extremes) {
        for (int layer = 0; layer < subject.layers; layer++) {
          int asked = layer;
          Rows rows = new Rows(9, 0, extreme);
          assertDoesNotThrow(() -> subject.ask(rows, asked), "route of extreme hidden states");
        }
      }
    }
  }

  @Test
  public final void required_R10_closeIsIdempotent() {
    Router router = openRouter();
    router.close();
    assertDoesNotThrow(router::close, "second close");
  }

  @Test
  public final void required_R11_unknownOptionsAreRejectedByName() {
    refusesUnknownOptions();
  }
}
