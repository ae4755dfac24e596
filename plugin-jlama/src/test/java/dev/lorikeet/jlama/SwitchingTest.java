package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tiny.TinyModel;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Merged weights in the decoder: a random model in F32, with the tiny model's adapters. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class SwitchingTest {
  /** Merging in F32 rounds each weight once, to 24 bits. */
  private static final double TOLERANCE = 1e-4;

  @TempDir Path directory;
  private final TinyModel tiny = TinyModel.extract();

  private Path model(ElementType type) {
    return RandomModel.llama(41)
        .widths(256, 768)
        .layers(6)
        .heads(8, 4)
        .headDim(32)
        .type(type)
        .write(directory);
  }

  private Lorikeet open(Path model, String switching) {
    Lorikeet lorikeet =
        Lorikeet.builder(model)
            .poolBytes(64L << 20)
            .modelOption("threads", "2")
            .modelOption("switching", switching)
            .open();
    tiny.adapterNames().forEach(name -> lorikeet.register(name, tiny.adapter(name)));
    return lorikeet;
  }

  private AdapterChoice named(int adapter) {
    return new AdapterChoice.Named(tiny.adapterNames().get(adapter));
  }

  private AdapterChoice mixed() {
    return new AdapterChoice.Mixed(
        Mixture.of(
            new Mixture.Share(tiny.adapterNames().get(0), 0.75f),
            new Mixture.Share(tiny.adapterNames().get(2), -0.5f)));
  }

  /** Submits all at once, and returns the logits of each request's tokens. */
  private static List<List<float[]>> logits(Lorikeet lorikeet, AdapterChoice... choices) {
    List<List<float[]>> all = new ArrayList<>();
    List<Generation> generations = new ArrayList<>();
    for (AdapterChoice choice : choices) {
      List<float[]> logits = Collections.synchronizedList(new ArrayList<>());
      all.add(logits);
      generations.add(
          lorikeet.submit(
              GenerationRequest.tokens(List.of(17, 400, 23, 1999, 5))
                  .adapter(choice)
                  .stop(StopConditions.maxTokens(6).ignoringEos())
                  .build(),
              RequestObserver.logits(
                  (index, row) -> logits.add(row.toArray(ValueLayout.JAVA_FLOAT)))));
    }
    generations.forEach(Generation::await);
    return all;
  }

  private static void assertClose(List<float[]> expected, List<float[]> found) {
    assertEquals(expected.size(), found.size());
    boolean different = false;
    for (int t = 0; t < expected.size(); t++) {
      float[] e = expected.get(t);
      float[] f = found.get(t);
      double largest = 0;
      double worst = 0;
      for (int i = 0; i < e.length; i++) {
        largest = Math.max(largest, Math.abs(e[i]));
        worst = Math.max(worst, Math.abs(e[i] - f[i]));
      }
      assertTrue(worst <= TOLERANCE * largest, "token " + t + ": " + worst + " of " + largest);
      different |= !Arrays.equals(e, f);
    }
    assertTrue(different, "the same bits: nothing was merged");
  }

  @Test
  void mergedWeightsGiveTheLogitsOfDeltasAndTheBaseComesBackBitForBit() {
    Path model = model(ElementType.F32);
    try (Lorikeet deltas = open(model, "delta");
        Lorikeet merging = open(model, "merge")) {
      for (AdapterChoice choice : List.of(named(0), mixed(), named(3), named(0))) {
        assertClose(logits(deltas, choice).getFirst(), logits(merging, choice).getFirst());
      }
      AdapterChoice none = new AdapterChoice.None();
      List<float[]> base = logits(deltas, none).getFirst();
      List<float[]> found = logits(merging, none).getFirst();
      for (int t = 0; t < base.size(); t++) {
        assertArrayEquals(base.get(t), found.get(t));
      }
    }
  }

  @Test
  void sequencesThatShareAMixtureShareTheMergedWeightsAndOthersStillGetDeltas() {
    Path model = model(ElementType.F32);
    try (Lorikeet deltas = open(model, "delta");
        Lorikeet merging = open(model, "merge")) {
      List<List<float[]>> expected = logits(deltas, mixed(), mixed(), mixed());
      List<List<float[]>> found = logits(merging, mixed(), mixed(), mixed());
      for (int i = 0; i < found.size(); i++) {
        assertClose(expected.get(i), found.get(i));
      }
      logits(merging, mixed());
      AdapterChoice[] varied = {named(0), mixed(), new AdapterChoice.None(), named(1)};
      expected = logits(deltas, varied);
      found = logits(merging, varied);
      // They may not all begin in the same step, so that the first steps may be merged.
      for (int i = 0; i < varied.length; i++) {
        List<float[]> e = expected.get(i);
        List<float[]> f = found.get(i);
        for (int t = 0; t < e.size(); t++) {
          for (int k = 0; k < e.get(t).length; k++) {
            assertEquals(e.get(t)[k], f.get(t)[k], 1e-2);
          }
        }
      }
    }
  }

  @Test
  void anAdapterRegisteredAnewIsMergedAnew() {
    Path model = model(ElementType.F32);
    try (Lorikeet deltas = open(model, "delta");
        Lorikeet merging = open(model, "merge")) {
      logits(merging, named(0));
      String name = tiny.adapterNames().get(0);
      Path other = tiny.adapter(tiny.adapterNames().get(1));
      for (Lorikeet lorikeet : List.of(deltas, merging)) {
        lorikeet.register(name, other);
      }
      assertClose(logits(deltas, named(0)).getFirst(), logits(merging, named(0)).getFirst());
    }
  }

  @Test
  void autoMergesAMixtureThatStays() {
    Path model = model(ElementType.F32);
    try (Lorikeet deltas = open(model, "delta");
        Lorikeet auto = open(model, "auto")) {
      List<float[]> expected = logits(deltas, named(0)).getFirst();
      boolean merged = false;
      // The deltas of some thousand steps cost as much as a switch on any machine.
      for (int round = 0; round < 5_000 && !merged; round++) {
        List<float[]> found = logits(auto, named(0)).getFirst();
        merged = !Arrays.equals(expected.getLast(), found.getLast());
      }
      assertTrue(merged, "never merged");
      assertClose(expected, logits(auto, named(0)).getFirst());
    }
  }

  @Test
  void quantizedWeightsGetDeltasOnlyAndAskingForMergingIsRefused() {
    Path q4 =
        RandomModel.llama(42)
            .widths(256, 768)
            .layers(6)
            .heads(8, 4)
            .headDim(32)
            .type(ElementType.BF16)
            .writeQ4(directory);
    try (Lorikeet deltas = open(q4, "delta");
        Lorikeet auto = open(q4, "auto")) {
      for (int round = 0; round < 20; round++) {
        List<float[]> expected = logits(deltas, named(0)).getFirst();
        List<float[]> found = logits(auto, named(0)).getFirst();
        for (int t = 0; t < expected.size(); t++) {
          assertArrayEquals(expected.get(t), found.get(t));
        }
      }
    }
    Exception e = assertThrows(RuntimeException.class, () -> open(q4, "merge").close());
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("switching") && message.contains("Q4"), message);
    assertFalse(message.contains("null"), message);
  }

  @Test
  void anUnknownModeIsRefusedWithTheModesThatThereAre() {
    Exception e =
        assertThrows(RuntimeException.class, () -> open(model(ElementType.F32), "fuse").close());
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("delta, auto, merge") && message.contains("fuse"), message);
  }
}
