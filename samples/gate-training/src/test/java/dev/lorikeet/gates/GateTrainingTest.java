package dev.lorikeet.gates;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class GateTrainingTest {
  private static final int EXPERTS = 3;
  private static final int SIZE = 5;

  /** Two gates: what the first sees is noise, what the second sees tells the label. */
  private static final class NoiseAndSignal implements GateFeatures {
    private MixedDocument document = new MixedDocument(List.of(), List.of());

    @Override
    public int gates() {
      return 2;
    }

    @Override
    public int size() {
      return SIZE;
    }

    @Override
    public void open(MixedDocument opened) {
      document = opened;
    }

    @Override
    public void read(int gate, int token, float[] features) {
      Random random = new Random(31L * document.tokens().get(token) + gate);
      for (int i = 0; i < SIZE; i++) {
        features[i] = 100 + 20 * (float) random.nextGaussian();
      }
      if (gate == 1) {
        features[document.labels().get(token)] += 100;
      }
    }
  }

  private static List<MixedDocument> documents(Random random, int count) {
    List<MixedDocument> documents = new ArrayList<>();
    for (int d = 0; d < count; d++) {
      List<Integer> tokens = IntStream.range(0, 30).mapToObj(i -> random.nextInt()).toList();
      List<Integer> labels = tokens.stream().map(token -> random.nextInt(EXPERTS)).toList();
      documents.add(new MixedDocument(tokens, labels));
    }
    return documents;
  }

  private static List<GateTraining.Example> labelled(List<MixedDocument> documents) {
    return documents.stream().map(d -> GateTraining.Example.ofLabels(d, EXPERTS)).toList();
  }

  @Test
  void eachGateLearnsWhatItsOwnFeaturesTell() {
    Random random = new Random(4);
    List<MixedDocument> training = documents(random, 40);
    GateFeatures features = new NoiseAndSignal();
    Gates gates = new Gates(2, SIZE, 0, EXPERTS, random);
    gates.standardizeBy(Moments.of(features, training));
    List<GateQuality> epochs = new ArrayList<>();
    GateTraining.Settings settings = new GateTraining.Settings(30, 2e-2, 0.01, 4);

    List<GateQuality> kept =
        new GateTraining(features, gates, settings)
            .run(labelled(training), labelled(documents(random, 20)), epochs::add);

    assertEquals(30, epochs.size());
    assertTrue(kept.getFirst().accuracy() < 0.45, "by chance: " + kept);
    assertTrue(kept.getLast().accuracy() > 0.95, kept::toString);
    double least = epochs.stream().mapToDouble(GateQuality::loss).min().orElseThrow();
    assertEquals(least, GateQuality.mean(kept).loss(), "the best epoch is kept");
  }

  @Test
  void momentsAreThoseOfEachGate() {
    List<MixedDocument> documents = documents(new Random(6), 50);
    List<Moments> moments = Moments.of(new NoiseAndSignal(), documents);
    assertEquals(2, moments.size());
    for (int i = 0; i < SIZE; i++) {
      assertEquals(100, moments.getFirst().mean[i], 3);
      assertEquals(20, moments.getFirst().scale[i], 2);
      // A third of the tokens has 100 more: mean + 100 / 3, variance + 100^2 * 2 / 9.
      double mean = i < EXPERTS ? 100 + 100 / 3.0 : 100;
      double scale = i < EXPERTS ? Math.sqrt(400 + 20000 / 9.0) : 20;
      assertEquals(mean, moments.getLast().mean[i], 6);
      assertEquals(scale, moments.getLast().scale[i], 3);
    }
    float[] x = moments.getLast().mean.clone();
    moments.getLast().standardize(x);
    assertArrayEquals(new float[SIZE], x);
  }
}
