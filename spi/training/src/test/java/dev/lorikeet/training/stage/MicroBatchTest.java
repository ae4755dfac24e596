package dev.lorikeet.training.stage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class MicroBatchTest {
  private static final int NONE = MicroBatch.NO_LOSS;

  private record Lease(AdapterSpec spec) implements AdapterLease {
    static Lease of(String id) {
      TargetSpec target =
          TargetSpec.builder(TargetModule.of(0, Projection.Q))
              .rank(1)
              .inFeatures(1)
              .outFeatures(1)
              .scaling(1)
              .build();
      return new Lease(AdapterSpec.of(id, 1, List.of(target)));
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      return Optional.empty();
    }

    @Override
    public void close() {}
  }

  private static MicroBatch mixed() {
    return MicroBatch.builder()
        .add(4, new int[] {1, 7, 8})
        .add(2, new int[] {1, 9}, new int[] {NONE, 9})
        .add(4, new int[] {5, 6, 7, 8}, new int[] {5, NONE, 7, NONE})
        .add(3, new int[] {6})
        .build();
  }

  @Test
  void aTokensLabelIsTheTokenBehindIt() {
    MicroBatch batch = mixed();
    assertArrayEquals(new int[] {1, 7, 8, 1, 9, 5, 6, 7, 8, 6}, batch.copyTokens());
    assertArrayEquals(
        new int[] {7, 8, NONE, 9, NONE, NONE, 7, NONE, NONE, NONE}, batch.copyLabels());
    assertArrayEquals(new int[] {0, 3, 5, 9, 10}, batch.copyStarts());
    assertArrayEquals(new int[] {4, 2, 4, 3}, batch.copyTasks());
    assertEquals(3, batch.labelled(4));
    assertEquals(1, batch.labelled(2));
    assertEquals(0, batch.labelled(9));
    assertEquals(4, batch.longest());
    assertEquals(3, batch.position(8));
    assertEquals(0, batch.position(9));
  }

  @Test
  void aSumTakesTheTokensWithALabel() {
    double[] values = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
    assertEquals(3, mixed().sum(0, values));
    assertEquals(8, mixed().sum(1, values));
    assertEquals(64, mixed().sum(2, values));
    assertEquals(0, mixed().sum(3, values));
  }

  @Test
  void everyTaskIsOneSegmentOfItsTokens() {
    Lease four = Lease.of("four");
    Lease three = Lease.of("three");
    LoraBatch lora =
        mixed()
            .fill(
                new LoraBatch(),
                task ->
                    switch (task) {
                      case 4 -> Optional.of(four);
                      case 3 -> Optional.of(three);
                      default -> Optional.empty();
                    });
    assertEquals(10, lora.tokens());
    assertEquals(2, lora.segments());
    assertEquals(four, lora.adapter(0));
    assertEquals(three, lora.adapter(1));
    int[] tokens = new int[lora.entries()];
    for (int e = 0; e < tokens.length; e++) {
      tokens[e] = lora.token(e);
      assertEquals(1, lora.weight(e));
    }
    assertArrayEquals(new int[] {0, 1, 2, 5, 6, 7, 8, 9}, tokens);
  }

  @Test
  void aMixtureIsASegmentForEachOfItsAdaptersWithTheTokensThatChoseIt() {
    TokenMixture mixture =
        new TokenMixture(
            2,
            new int[] {0, 2, 2, 0, 0, 1, 1, 2, 1, 0, 0, 1, 2, 1},
            new float[] {.5f, .5f, .6f, .4f, .7f, .3f, .8f, .2f, .9f, .1f, 1, 0, .2f, .8f});
    MicroBatch batch = mixed().withMixtures(Map.of(4, mixture));
    assertArrayEquals(new int[] {0, 1, 2, 5, 6, 7, 8}, batch.tokensOf(4));
    List<Lease> experts = List.of(Lease.of("e0"), Lease.of("e1"), Lease.of("e2"));
    Lease two = Lease.of("two");
    LoraBatch lora =
        batch.fillMixed(
            new LoraBatch(),
            task ->
                switch (task) {
                  case 4 -> experts;
                  case 2 -> List.of(two);
                  default -> List.of();
                });
    StringBuilder found = new StringBuilder();
    for (int s = 0; s < lora.segments(); s++) {
      found.append(lora.adapter(s).spec().id());
      for (int e = lora.segmentStart(s); e < lora.segmentEnd(s); e++) {
        found.append(' ').append(lora.token(e)).append('*').append(lora.weight(e));
      }
      found.append('\n');
    }
    assertEquals(
        """
        e0 0*0.5 1*0.4 2*0.7 6*0.1 7*1.0
        e1 2*0.3 5*0.8 6*0.9 7*0.0 8*0.8
        e2 0*0.5 1*0.6 5*0.2 8*0.2
        two 3*1.0 4*1.0
        """,
        found.toString());
    assertThrows(IllegalArgumentException.class, () -> mixed().withMixtures(Map.of(2, mixture)));
    assertThrows(
        IllegalArgumentException.class,
        () -> new TokenMixture(2, new int[] {0, 1, 2}, new float[3]));
  }

  @Test
  void tokensAreShownWhereTheirSequencesAre() {
    int[] ids = {1, 2, 3};
    MicroBatch batch =
        MicroBatch.builder()
            .add(0, ids)
            .show(1)
            .add(1, ids)
            .add(0, ids)
            .show(0)
            .show(2)
            .build()
            .withDropouts(List.of(Dropout.NONE, new Dropout(0.5f, 1), Dropout.NONE));
    assertArrayEquals(new int[] {1, 6, 8}, batch.copyShown());
    assertEquals(0, batch.shownBefore(0));
    assertEquals(1, batch.shownBefore(1));
    assertEquals(1, batch.shownBefore(2));
    assertArrayEquals(new int[] {4}, batch.withShown(new int[] {4}).copyShown());
    assertEquals(0, mixed().copyShown().length);
    assertThrows(IllegalArgumentException.class, () -> batch.withShown(new int[] {4, 4}));
    assertThrows(IndexOutOfBoundsException.class, () -> batch.withShown(new int[] {9}));
    assertThrows(IndexOutOfBoundsException.class, () -> MicroBatch.builder().add(0, ids).show(3));
  }

  @Test
  void arraysThatDoNotFitAreRefused() {
    int[] one = {1};
    int[] two = {1, 2};
    assertThrows(
        IllegalArgumentException.class,
        () -> new MicroBatch(new int[0], new int[0], new int[] {0}, new int[0]));
    assertThrows(
        IllegalArgumentException.class, () -> new MicroBatch(two, one, new int[] {0, 2}, one));
    assertThrows(
        IllegalArgumentException.class, () -> new MicroBatch(two, two, new int[] {0, 1}, one));
    assertThrows(
        IllegalArgumentException.class, () -> new MicroBatch(two, two, new int[] {0, 2, 2}, two));
    assertThrows(
        IllegalArgumentException.class, () -> new MicroBatch(two, two, new int[] {0, 3, 2}, two));
    assertThrows(
        IllegalArgumentException.class, () -> new MicroBatch(two, two, new int[] {1, 2}, one));
    assertThrows(
        IllegalArgumentException.class,
        () -> new MicroBatch(two, new int[] {1, -1}, new int[] {0, 2}, one));
    assertThrows(
        IllegalArgumentException.class,
        () -> new MicroBatch(new int[] {-1, 0}, two, new int[] {0, 2}, one));
    assertThrows(
        IllegalArgumentException.class,
        () -> new MicroBatch(two, two, new int[] {0, 2}, new int[] {-1}));
    assertThrows(IllegalArgumentException.class, () -> MicroBatch.builder().add(0, two, one));
    assertThrows(IllegalArgumentException.class, () -> MicroBatch.builder().build());
  }
}
