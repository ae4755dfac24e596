package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.ScoreRequest;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Logits that give no probabilities fail their own request, whatever it wants of them. */
@Timeout(300)
class NotFiniteTest {
  /** Its logits are not what they should be. */
  private static final int MARKED = 77;

  private static final List<Integer> SOUND = List.of(11, 12, 13);
  private static final List<Integer> UNSOUND = List.of(11, 12, MARKED);

  /** What becomes of the logits after a marked token. */
  enum Damage {
    ONE_NAN("NaN for token 9"),
    ONE_INFINITY("Infinity for token 9"),
    LAST_NAN("NaN for token 127"),
    ALL_NAN("NaN for token 0"),
    NOTHING_POSSIBLE("-Infinity for every token"),
    MOST_IMPOSSIBLE("");

    private final String found;

    Damage(String found) {
      this.found = found;
    }

    void apply(MemorySegment row) {
      for (int token = 0; token < SteppedServing.VOCABULARY; token++) {
        float logit = row.getAtIndex(ValueLayout.JAVA_FLOAT, token);
        float damaged =
            switch (this) {
              case ONE_NAN -> token == 9 ? Float.NaN : logit;
              case ONE_INFINITY -> token == 9 ? Float.POSITIVE_INFINITY : logit;
              case LAST_NAN -> token == SteppedServing.VOCABULARY - 1 ? Float.NaN : logit;
              case ALL_NAN -> Float.NaN;
              case NOTHING_POSSIBLE -> Float.NEGATIVE_INFINITY;
              case MOST_IMPOSSIBLE -> token == 9 ? logit : Float.NEGATIVE_INFINITY;
            };
        row.setAtIndex(ValueLayout.JAVA_FLOAT, token, damaged);
      }
    }
  }

  /** Damages what follows marked tokens. */
  private static FaultyDecoder.Fault fault(Damage damage) {
    return new FaultyDecoder.Fault() {
      @Override
      public void after(StepBatch step, StepDecoder decoder) {
        for (int row = 0; row < step.logits(); row++) {
          if (step.tokenId(step.logitToken(row)) == MARKED) {
            damage.apply(decoder.logits(row));
          }
        }
      }
    };
  }

  private static SteppedServing open(Damage damage) {
    return new SteppedServing(
        new FakeModel(fault(damage)), SteppedServing.options(Policy.FCFS, 4, true), 200);
  }

  @ParameterizedTest
  @EnumSource(value = Damage.class, mode = EnumSource.Mode.EXCLUDE, names = "MOST_IMPOSSIBLE")
  void failTheRequestThatDrawsAndNoNeighbour(Damage damage) {
    List<Sampling> ways =
        List.of(
            Sampling.greedy(),
            Sampling.of(1f, 7),
            Sampling.of(1f, 7).withTopK(5),
            Sampling.of(1f, 7).withTopP(0.9f));
    for (Sampling sampling : ways) {
      try (SteppedServing stepped = open(damage)) {
        List<Integer> alone = stepped.run(SteppedServing.request(SOUND, 6));
        Generation neighbour = stepped.submit(SteppedServing.request(SOUND, 6));
        Generation unsound =
            stepped.submit(SteppedServing.request(UNSOUND, 6).sampling(sampling).adapter("a2"));
        stepped.finish(1000);
        assertEquals(alone, neighbour.await().tokens());
        LorikeetException failure = assertThrows(LorikeetException.class, unsound::await);
        assertAll(
            () -> assertEquals(Code.NOT_FINITE, failure.code()),
            () -> assertTrue(failure.getMessage().contains(damage.found), failure::toString),
            () -> assertTrue(failure.getMessage().contains("position 2"), failure::toString),
            () -> assertTrue(failure.getMessage().contains("a2"), failure::toString));
        assertEquals(alone, stepped.run(SteppedServing.request(SOUND, 6)));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(value = Damage.class, mode = EnumSource.Mode.EXCLUDE, names = "MOST_IMPOSSIBLE")
  void failScores(Damage damage) {
    try (SteppedServing stepped = open(damage)) {
      var sound = stepped.serving.score(score(SOUND), RequestObserver.none());
      var unsound =
          stepped.serving.score(score(List.of(11, MARKED, 13, 14)), RequestObserver.none());
      stepped.finish(1000);
      assertEquals(SOUND, sound.join().tokens());
      CompletionException failure = assertThrows(CompletionException.class, unsound::join);
      LorikeetException reason = assertInstanceOf(LorikeetException.class, failure.getCause());
      assertEquals(Code.NOT_FINITE, reason.code());
      assertTrue(reason.getMessage().contains("position 1"), reason::toString);
    }
  }

  private static ScoreRequest score(List<Integer> tokens) {
    return ScoreRequest.of(new Prompt.Tokens(tokens), AdapterChoice.none());
  }

  @ParameterizedTest
  @ValueSource(floats = {0f, 1f})
  void impossibleTokensBesidePossibleOnesAreNoFailure(float temperature) {
    try (SteppedServing stepped = open(Damage.MOST_IMPOSSIBLE)) {
      assertEquals(
          List.of(9),
          stepped.run(SteppedServing.request(UNSOUND, 1).sampling(Sampling.of(temperature, 3))));
    }
  }

  @Test
  void areNotShownToAnObserver() {
    try (SteppedServing stepped = open(Damage.ONE_NAN)) {
      Generation unsound =
          stepped.submit(
              SteppedServing.request(UNSOUND, 6),
              RequestObserver.logits(
                  (index, logits) -> {
                    throw new AssertionError("shown");
                  }));
      stepped.finish(1000);
      assertEquals(Code.NOT_FINITE, assertThrows(LorikeetException.class, unsound::await).code());
    }
  }
}
