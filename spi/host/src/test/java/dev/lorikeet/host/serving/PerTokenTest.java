package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.BLOCK;
import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.Mixture.Share;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Requests that state a mixture for each token. */
@Timeout(300)
class PerTokenTest {
  private static final List<String> EXPERTS = List.of("a1", "a2", "a4");

  private final Random random = new Random(32);

  /** Returns the model to serve; whoever computes one for real runs these tests with it. */
  ServedModel model() {
    return new FakeModel();
  }

  private SteppedServing open(boolean prefixCache) {
    return new SteppedServing(model(), SteppedServing.options(Policy.FCFS, 4, prefixCache), 400);
  }

  /** Stretches of equal mixtures of one or two adapters, and of none. */
  private List<Mixture> mixtures(int tokens) {
    List<Mixture> mixtures = new ArrayList<>();
    while (mixtures.size() < tokens) {
      int one = random.nextInt(EXPERTS.size());
      int other = (one + 1) % EXPERTS.size();
      Mixture mixture =
          switch (random.nextInt(4)) {
            case 0 -> Mixture.none();
            case 1 ->
                Mixture.of(new Share(EXPERTS.get(one), 0.3f), new Share(EXPERTS.get(other), 0.9f));
            default -> Mixture.of(EXPERTS.get(one));
          };
      for (int i = random.nextInt(6); i >= 0 && mixtures.size() < tokens; i--) {
        mixtures.add(mixture);
      }
    }
    return mixtures;
  }

  /** Knows the mixture of each token of the one sequence that it serves. */
  private static final class Oracle implements TokenRouter {
    private final List<Mixture> mixtures;
    private int next;

    Oracle(List<Mixture> mixtures) {
      this.mixtures = mixtures;
    }

    @Override
    public Experts experts() {
      return new Experts(EXPERTS, 2);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++, next++) {
        for (Share share : mixtures.get(Math.min(next, mixtures.size() - 1)).shares()) {
          out.choose(t, EXPERTS.indexOf(share.adapter()), share.weight());
        }
      }
    }
  }

  private static List<float[]> logits(
      SteppedServing stepped, List<Integer> prompt, AdapterChoice choice) {
    List<float[]> logits = new ArrayList<>();
    stepped.run(
        request(prompt, 8).adapter(choice),
        RequestObserver.logits((i, row) -> logits.add(row.toArray(ValueLayout.JAVA_FLOAT))));
    return logits;
  }

  private static Score score(SteppedServing stepped, List<Integer> prompt, AdapterChoice choice) {
    var score =
        stepped.serving.score(
            ScoreRequest.of(new Prompt.Tokens(prompt), choice), RequestObserver.none());
    stepped.finish(1000);
    return score.join();
  }

  @Test
  void theBitsAreThoseOfARouterThatDecidesTheSame() {
    for (int round = 0; round < 8; round++) {
      List<Integer> prompt = prompt(random, 1 + random.nextInt(60));
      List<Mixture> mixtures = mixtures(prompt.size());
      AdapterChoice stated = AdapterChoice.perToken(mixtures);
      AdapterChoice routed = AdapterChoice.routed("oracle");
      try (SteppedServing stepped = open(false)) {
        stepped.serving.addRouter("oracle", new Oracle(mixtures));
        List<float[]> expected = logits(stepped, prompt, routed);
        // Another sequence cuts the prompt into other chunks.
        stepped.submit(request(prompt(random, 20), 30).adapter("a4"));
        HiddenRows.assertSame(expected, logits(stepped, prompt, stated), "round " + round);
        stepped.serving.addRouter("oracle", new Oracle(mixtures));
        assertEquals(score(stepped, prompt, routed), score(stepped, prompt, stated));
      }
    }
  }

  @Test
  void tokensReportTheMixtureOfTheTokenBefore() {
    List<Integer> prompt = prompt(random, 33);
    List<Mixture> mixtures = new ArrayList<>(mixtures(32));
    mixtures.add(Mixture.of(new Share("a2", 0.25f)));
    List<Optional<Mixture>> reported = new ArrayList<>();
    try (SteppedServing stepped = open(false)) {
      stepped.run(
          request(prompt, 3).adapter(AdapterChoice.perToken(mixtures)).reportMixture(),
          RequestObserver.tokens((GeneratedToken token) -> reported.add(token.mixture())));
    }
    Optional<Mixture> last = Optional.of(mixtures.getLast());
    assertEquals(List.of(last, last, last), reported);
  }

  @Test
  void nothingIsSharedThroughThePrefixCache() {
    List<Integer> prompt = prompt(random, 4 * BLOCK);
    AdapterChoice choice = AdapterChoice.perToken(mixtures(prompt.size()));
    try (SteppedServing stepped = open(true)) {
      HiddenRows.assertSame(
          logits(stepped, prompt, choice), logits(stepped, prompt, choice), "again");
      assertEquals(0, stepped.serving.prefixStats().reusedTokens());
    }
  }

  @Test
  void mixturesThatDoNotFitThePromptAreRefused() {
    List<Integer> prompt = prompt(random, 5);
    try (SteppedServing stepped = open(false)) {
      for (int tokens : new int[] {1, 4, 6}) {
        LorikeetException e =
            assertThrows(
                LorikeetException.class,
                () ->
                    stepped.submit(
                        request(prompt, 1).adapter(AdapterChoice.perToken(mixtures(tokens)))));
        assertEquals(Code.INVALID_REQUEST, e.code());
        assertTrue(e.getMessage().contains("5") && e.getMessage().contains("" + tokens));
      }
      List<Mixture> strange = new ArrayList<>(mixtures(4));
      strange.add(Mixture.of("nobody"));
      assertEquals(
          Code.ADAPTER_NOT_FOUND,
          assertThrows(
                  LorikeetException.class,
                  () -> stepped.submit(request(prompt, 1).adapter(AdapterChoice.perToken(strange))))
              .code());
    }
  }
}
