package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.tiny.TinyModel;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * The logits of a sequence do not depend on what else is in the batch. The specification allows
 * 1e-4; our kernels compute each token in the same order of operations whatever its neighbours, so
 * here the bits must be equal.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class BatchInvarianceTest {
  private static final int SEQUENCES = 24;

  /** What a request asks for, and the logits of each of its tokens. */
  private record Case(GenerationRequest.Builder request, List<float[]> logits) {
    static Case random(Random random, TinyModel tiny) {
      List<Integer> prompt = new ArrayList<>();
      for (int i = 1 + random.nextInt(random.nextBoolean() ? 8 : 120); i > 0; i--) {
        prompt.add(3 + random.nextInt(2045));
      }
      List<float[]> logits = Collections.synchronizedList(new ArrayList<>());
      GenerationRequest.Builder request =
          GenerationRequest.tokens(prompt)
              .adapter(choice(random, tiny.adapterNames()))
              .stop(StopConditions.maxTokens(1 + random.nextInt(12)).ignoringEos());
      return new Case(request, logits);
    }

    Generation submit(Lorikeet lorikeet) {
      return lorikeet.submit(
          request.build(),
          RequestObserver.logits((index, row) -> logits.add(row.toArray(ValueLayout.JAVA_FLOAT))));
    }

    private static AdapterChoice choice(Random random, List<String> names) {
      String one = names.get(random.nextInt(names.size()));
      String other = names.get((names.indexOf(one) + 1) % names.size());
      return switch (random.nextInt(4)) {
        case 0 -> new AdapterChoice.None();
        case 1 ->
            new AdapterChoice.Mixed(
                Mixture.of(
                    new Mixture.Share(one, random.nextFloat()), new Mixture.Share(other, 1.5f)));
        default -> new AdapterChoice.Named(one);
      };
    }

    List<float[]> takeLogits() {
      List<float[]> taken = new ArrayList<>(logits);
      logits.clear();
      return taken;
    }
  }

  @Test
  void logitsAreTheSameAloneAndInAnyBatchAndInAnyChunks() throws InterruptedException {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    Random random = new Random(seed);
    TinyModel tiny = TinyModel.extract();
    List<Case> cases = new ArrayList<>();
    for (int i = 0; i < SEQUENCES; i++) {
      cases.add(Case.random(random, tiny));
    }
    List<List<float[]>> alone = new ArrayList<>();
    try (Opened opened = Opened.of(tiny, Opened.builder(tiny))) {
      for (Case c : cases) {
        c.submit(opened.lorikeet).await();
        alone.add(c.takeLogits());
      }
    }
    // A small token budget cuts prompts into chunks of many sizes; three threads share the work
    // differently.
    try (Opened opened =
        Opened.of(
            tiny,
            Opened.builder(tiny)
                .modelOption("threads", "3")
                .modelOption("weights", "copied")
                .modelOption("max-batch-size", "16")
                .modelOption("max-batch-tokens", "37"))) {
      List<Generation> generations = new ArrayList<>();
      for (Case c : cases) {
        generations.add(c.submit(opened.lorikeet));
        for (int spin = random.nextInt(2000); spin > 0; spin--) {
          Thread.onSpinWait();
        }
      }
      generations.forEach(Generation::await);
    }
    for (int i = 0; i < cases.size(); i++) {
      List<float[]> together = cases.get(i).takeLogits();
      assertEquals(alone.get(i).size(), together.size(), "seed " + seed);
      for (int t = 0; t < together.size(); t++) {
        assertArrayEquals(
            alone.get(i).get(t), together.get(t), "seed " + seed + " case " + i + " token " + t);
      }
    }
  }
}
