package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Base and adapters against PyTorch's outputs, alone and in one mixed batch. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class TinyModelReferenceTest {
  /** The bound, relative to the largest logit. */
  private static final double TOLERANCE = 2e-3;

  private static Opened opened;
  private static List<ReferenceCase> cases;

  @BeforeAll
  static void open() {
    opened = Opened.tiny();
    cases = ReferenceCase.all(opened.tiny);
  }

  @AfterAll
  static void close() {
    opened.close();
  }

  @Test
  void promptsTokenizeAsInTheReference() {
    for (ReferenceCase c : cases) {
      assertEquals(c.promptIds(), opened.lorikeet.model().encode(c.prompt()), c.prompt());
    }
  }

  @Test
  void lastLogitsAgreeAlone() {
    for (ReferenceCase c : cases) {
      assertClose(c, opened.lastLogits(c.promptIds(), c.adapter()));
    }
  }

  @Test
  void greedyTokensAgreeAlone() {
    for (ReferenceCase c : cases) {
      if (!c.greedyIds().isEmpty()) {
        assertEquals(
            c.greedyIds(),
            opened.lorikeet.submit(greedy(c).build()).await().tokens(),
            c.adapter() + " " + c.prompt());
      }
    }
  }

  @Test
  void logitsAndGreedyTokensAgreeInOneMixedBatch() {
    ConcurrentHashMap<ReferenceCase, float[]> logits = new ConcurrentHashMap<>();
    List<Generation> generations = new ArrayList<>();
    for (ReferenceCase c : cases) {
      generations.add(
          opened.lorikeet.submit(
              greedy(c).build(),
              RequestObserver.logits(
                  (index, row) -> {
                    if (index == 0) {
                      logits.put(c, row.toArray(ValueLayout.JAVA_FLOAT));
                    }
                  })));
    }
    for (int i = 0; i < cases.size(); i++) {
      ReferenceCase c = cases.get(i);
      List<Integer> tokens = generations.get(i).await().tokens();
      assertEquals(
          c.greedyIds(), tokens.subList(0, c.greedyIds().size()), c.adapter() + " " + c.prompt());
      assertClose(c, Objects.requireNonNull(logits.get(c)));
    }
    assertTrue(
        opened.lorikeet.model().stats().largestBatch() >= 10,
        "sequences in one batch: " + opened.lorikeet.model().stats().largestBatch());
  }

  @Test
  void greedyTextAgrees() {
    for (ReferenceCase c : cases) {
      if (!c.greedyIds().isEmpty()) {
        assertEquals(c.greedyText(), opened.lorikeet.submit(greedy(c).build()).await().text());
      }
    }
  }

  @Test
  void scoresAreTheLogProbabilitiesOfTheReferencePrompt() {
    // The score of the prompt plus its first greedy token ends with that token's log-probability
    // under the reference logits.
    for (ReferenceCase c : cases) {
      if (c.greedyIds().isEmpty()) {
        continue;
      }
      int next = c.greedyIds().getFirst();
      List<Integer> tokens = new ArrayList<>(c.promptIds());
      tokens.add(next);
      double max = c.lastLogits().stream().mapToDouble(d -> d).max().orElseThrow();
      double sum = c.lastLogits().stream().mapToDouble(d -> Math.exp(d - max)).sum();
      double expected = c.lastLogits().get(next) - max - Math.log(sum);
      Score score = opened.lorikeet.score(new Prompt.Tokens(tokens), Opened.choice(c.adapter()));
      assertEquals(
          expected, score.logProbabilities().getLast(), TOLERANCE * c.largestLogit(), c.prompt());
    }
  }

  @Test
  void anAdapterThatIsLeftOutChangesNothing() {
    ReferenceCase base =
        cases.stream().filter(c -> c.adapter().isEmpty()).findFirst().orElseThrow();
    Score none =
        opened.lorikeet.score(new Prompt.Tokens(base.promptIds()), new AdapterChoice.None());
    Score voice =
        opened.lorikeet.score(
            new Prompt.Tokens(base.promptIds()), new AdapterChoice.Named("jargon"));
    assertTrue(Math.abs(none.total() - voice.total()) > 0.1, none + " and " + voice);
  }

  private static GenerationRequest.Builder greedy(ReferenceCase c) {
    return GenerationRequest.tokens(c.promptIds())
        .adapter(Opened.choice(c.adapter()))
        .maxTokens(Math.max(1, c.greedyIds().size()));
  }

  private static void assertClose(ReferenceCase c, float[] logits) {
    double worst = 0;
    for (int i = 0; i < logits.length; i++) {
      worst = Math.max(worst, Math.abs(logits[i] - c.lastLogits().get(i)));
    }
    assertTrue(
        worst <= TOLERANCE * c.largestLogit(),
        Optional.of(c.adapter()) + " " + c.prompt() + ": worst " + worst / c.largestLogit());
  }
}
