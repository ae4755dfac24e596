package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.StopConditions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every family with a folder of reference cases, against what transformers and PEFT compute. */
class FamilyReferenceTest {
  private static final Path FAMILIES = Path.of("src/test/resources/dev/lorikeet/jlama/families");

  /** Both sides sum some hundred products in float32, in different orders. */
  private static final double TOLERANCE = 2e-5;

  /** A case of {@code cases.json}; an empty adapter stands for the base model. */
  private record Case(
      String adapter,
      List<Integer> ids,
      @JsonProperty("last_logits") List<Double> lastLogits,
      @JsonProperty("token_logprobs") List<Double> tokenLogprobs,
      @JsonProperty("greedy_ids") List<Integer> greedyIds,
      List<Double> gaps) {
    AdapterChoice choice() {
      return adapter.isEmpty() ? new AdapterChoice.None() : new AdapterChoice.Named(adapter);
    }

    double largest() {
      return lastLogits.stream().mapToDouble(Math::abs).max().orElseThrow();
    }

    @Override
    public String toString() {
      return (adapter.isEmpty() ? "base" : adapter) + " after " + ids.size();
    }
  }

  @TestFactory
  Stream<DynamicContainer> families() throws IOException {
    try (Stream<Path> folders = Files.list(FAMILIES)) {
      List<Path> found = folders.filter(Files::isDirectory).sorted().toList();
      assertTrue(!found.isEmpty(), "no families in " + FAMILIES);
      return found.stream().map(f -> dynamicContainer(f.getFileName().toString(), tests(f)));
    }
  }

  private static Stream<DynamicTest> tests(Path family) {
    return Stream.of(
        dynamicTest("logits", () -> withEach(family, FamilyReferenceTest::logits)),
        dynamicTest("scores", () -> withEach(family, FamilyReferenceTest::scores)),
        dynamicTest(
            "one batch of all cases", () -> withAll(family, FamilyReferenceTest::oneBatch)));
  }

  private interface Check {
    void run(Lorikeet lorikeet, Case reference);
  }

  private interface BatchCheck {
    void run(Lorikeet lorikeet, List<Case> cases);
  }

  private static void withEach(Path family, Check check) {
    withAll(family, (lorikeet, cases) -> cases.forEach(each -> check.run(lorikeet, each)));
  }

  private static void withAll(Path family, BatchCheck check) {
    try (Lorikeet lorikeet =
        Lorikeet.builder(family)
            .poolBytes(16L << 20)
            .modelOption("threads", "2")
            .modelOption("kv-type", "f32")
            .open()) {
      try (Stream<Path> adapters = Files.list(family.resolve("adapters"))) {
        adapters.forEach(adapter -> lorikeet.register(adapter.getFileName().toString(), adapter));
      }
      List<Case> cases =
          List.of(
              JsonMapper.builder()
                  .build()
                  .readValue(family.resolve("cases.json").toFile(), Case[].class));
      assertTrue(cases.stream().anyMatch(each -> !each.adapter.isEmpty()), "no case of an adapter");
      assertTrue(cases.stream().anyMatch(each -> each.adapter.isEmpty()), "no case of the base");
      check.run(lorikeet, cases);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void logits(Lorikeet lorikeet, Case reference) {
    AtomicReference<float[]> logits = new AtomicReference<>(new float[0]);
    GenerationRequest request =
        GenerationRequest.tokens(reference.ids).adapter(reference.choice()).maxTokens(1).build();
    lorikeet
        .submit(
            request,
            RequestObserver.logits((index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
        .await();
    assertEquals(reference.lastLogits.size(), logits.get().length);
    for (int i = 0; i < reference.lastLogits.size(); i++) {
      double tolerance = TOLERANCE * reference.largest();
      assertEquals(
          reference.lastLogits.get(i), logits.get()[i], tolerance, reference + ", logit " + i);
    }
  }

  private static void scores(Lorikeet lorikeet, Case reference) {
    Score score = lorikeet.score(new Prompt.Tokens(reference.ids), reference.choice());
    assertEquals(reference.tokenLogprobs.size(), score.logProbabilities().size());
    for (int i = 0; i < reference.tokenLogprobs.size(); i++) {
      // A log-probability is a logit less the logarithm of a sum, so it may err twice as much.
      assertEquals(
          reference.tokenLogprobs.get(i),
          score.logProbabilities().get(i),
          2 * TOLERANCE * reference.largest(),
          reference + ", token " + (i + 1));
    }
  }

  /** Greedy tokens agree up to the first that rounding may decide. */
  private static void oneBatch(Lorikeet lorikeet, List<Case> cases) {
    List<Generation> generations = new ArrayList<>();
    for (Case reference : cases) {
      generations.add(
          lorikeet.submit(
              GenerationRequest.tokens(reference.ids)
                  .adapter(reference.choice())
                  .stop(StopConditions.maxTokens(reference.greedyIds.size()))
                  .build()));
    }
    int compared = 0;
    for (int c = 0; c < cases.size(); c++) {
      Case reference = cases.get(c);
      List<Integer> found = generations.get(c).await().tokens();
      for (int i = 0; i < found.size(); i++) {
        if (reference.gaps.get(i) <= 4 * TOLERANCE * reference.largest()) {
          break;
        }
        assertEquals(reference.greedyIds.get(i), found.get(i), reference + ", greedy token " + i);
        compared++;
      }
    }
    assertTrue(compared >= 8 * cases.size(), "only " + compared + " tokens are not near ties");
  }
}
