package dev.lorikeet.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ExampleOrderTest {
  private final long seed = new Random().nextLong();

  private static int[] epoch(ExampleOrder order, int epoch, int count) {
    return IntStream.range(0, count).map(i -> order.example((long) epoch * count + i)).toArray();
  }

  @Test
  void anEpochTakesEachExampleOnce() {
    for (int count : new int[] {1, 2, 3, 17, 1000}) {
      ExampleOrder order = new ExampleOrder(seed, true, count);
      for (int epoch = 0; epoch < 4; epoch++) {
        assertArrayEquals(
            IntStream.range(0, count).toArray(),
            Arrays.stream(epoch(order, epoch, count)).sorted().toArray(),
            "seed " + seed);
      }
    }
  }

  @Test
  void ordersDifferByEpochAndSeed() {
    int[] first = epoch(new ExampleOrder(seed, true, 100), 0, 100);
    int[] second = epoch(new ExampleOrder(seed, true, 100), 1, 100);
    int[] other = epoch(new ExampleOrder(seed + 1, true, 100), 0, 100);
    assertNotEquals(Arrays.toString(first), Arrays.toString(second), "seed " + seed);
    assertNotEquals(Arrays.toString(first), Arrays.toString(other), "seed " + seed);
    assertNotEquals(Arrays.toString(second), Arrays.toString(other), "seed " + seed);
  }

  @Test
  void aRunThatIsResumedGoesOnAsIfItHadNeverStopped() {
    ExampleOrder whole = new ExampleOrder(seed, true, 37);
    List<Integer> taken = new ArrayList<>();
    for (int n = 0; n < 200; n++) {
      taken.add(whole.example(n));
    }
    List<Integer> places = new ArrayList<>(IntStream.range(0, 200).boxed().toList());
    Collections.shuffle(places, new Random(seed));
    for (int n : places) {
      assertEquals(taken.get(n), new ExampleOrder(seed, true, 37).example(n), "seed " + seed);
      assertEquals(taken.get(n), whole.example(n), "seed " + seed);
    }
  }

  /** A checkpoint of an older version has to go on with the same examples. */
  @Test
  void ordersStayWhatTheyAre() {
    assertArrayEquals(
        new int[] {2, 3, 6, 5, 0, 4, 7, 1, 8, 9}, epoch(new ExampleOrder(42, true, 10), 0, 10));
    assertArrayEquals(
        new int[] {8, 3, 4, 7, 9, 2, 5, 1, 6, 0}, epoch(new ExampleOrder(42, true, 10), 1, 10));
  }

  @Test
  void everyExampleIsFirstAboutAsOften() {
    int[] first = new int[5];
    for (int epoch = 0; epoch < 5000; epoch++) {
      first[new ExampleOrder(seed, true, 5).example(5L * epoch)]++;
    }
    for (int count : first) {
      assertTrue(Math.abs(count - 1000) < 200, () -> Arrays.toString(first) + ", seed " + seed);
    }
  }

  @Test
  void withoutShufflingExamplesKeepTheirOrder() {
    ExampleOrder order = new ExampleOrder(seed, false, 3);
    assertArrayEquals(new int[] {0, 1, 2}, epoch(order, 0, 3));
    assertArrayEquals(new int[] {0, 1, 2}, epoch(order, 7, 3));
    assertEquals(2, order.epoch(8));
  }

  @Test
  void ordersOfNothingAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new ExampleOrder(1, true, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> new ExampleOrder(1, true, 3).example(-1));
  }

  private static List<Example> examples(int count) {
    List<Example> examples = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      examples.add(new Example.Text(new int[] {i, i}, new int[] {i, i}));
    }
    return examples;
  }

  @Test
  void aSplitKeepsTheOrderAndEveryExample() {
    List<Example> examples = examples(100);
    ExampleSplit split = ExampleSplit.of(examples, 0.1, seed);
    assertEquals(10, split.validation().size());
    for (List<Example> part : List.of(split.training(), split.validation())) {
      assertEquals(examples.stream().filter(part::contains).toList(), part, "seed " + seed);
    }
    assertEquals(split, ExampleSplit.of(examples, 0.1, seed));
    assertNotEquals(split, ExampleSplit.of(examples, 0.1, seed + 1), "seed " + seed);
    List<Example> all = new ArrayList<>(split.training());
    all.addAll(split.validation());
    assertEquals(100, all.stream().distinct().count());
  }

  @Test
  void aSplitLeavesAtLeastOneExampleOnEitherSide() {
    assertEquals(1, ExampleSplit.of(examples(2), 0.001, seed).validation().size());
    assertEquals(1, ExampleSplit.of(examples(2), 0.999, seed).training().size());
    assertThrows(LorikeetException.class, () -> ExampleSplit.of(examples(1), 0.5, seed));
    assertThrows(IllegalArgumentException.class, () -> ExampleSplit.of(examples(2), 1, seed));
    assertThrows(
        IllegalArgumentException.class, () -> ExampleSplit.of(examples(2), Double.NaN, seed));
  }
}
