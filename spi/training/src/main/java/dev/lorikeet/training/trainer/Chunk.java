package dev.lorikeet.training.trainer;

import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.Dropout;
import dev.lorikeet.training.stage.MicroBatch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Examples of one task that go through the model together. How a task's examples are cut into
 * chunks depends on the task alone, so that its results do not depend on others.
 *
 * @param examples at least one
 * @param tokens how many tokens they have
 */
record Chunk(List<Example> examples, int tokens) {
  static Chunk of(List<Example> examples) {
    return new Chunk(List.copyOf(examples), examples.stream().mapToInt(Example::tokens).sum());
  }

  /** Cuts examples into chunks, as few as fit in their order, each of at most so many tokens. */
  static List<Chunk> cut(List<Example> examples, int maxTokens) {
    List<Chunk> chunks = new ArrayList<>();
    List<Example> together = new ArrayList<>();
    int size = 0;
    for (Example example : examples) {
      if (size + example.tokens() > maxTokens) {
        chunks.add(of(together));
        together.clear();
        size = 0;
      }
      together.add(example);
      size += example.tokens();
    }
    chunks.add(of(together));
    return chunks;
  }

  /** Returns how many sequences go through the model. */
  int sequences() {
    return examples.stream().mapToInt(e -> e instanceof Example.Text ? 1 : 2).sum();
  }

  /** Adds the sequences, whole. */
  void addTo(MicroBatch.Builder batch, int task) {
    addTo(batch, task, sequence -> Dropout.NONE);
  }

  /**
   * Adds the sequences; of a preference the chosen and then the rejected, of a paraphrase the
   * original and then the other wording, and shows the last token of either prompt.
   *
   * @param dropouts what each sequence of the chunk does without
   */
  void addTo(MicroBatch.Builder batch, int task, IntFunction<Dropout> dropouts) {
    int sequence = 0;
    for (Example example : examples) {
      switch (example) {
        case Example.Text(int[] ids, int[] labels) ->
            batch.add(task, ids, labels, dropouts.apply(sequence++));
        case Example.Preference(int[] prompt, int[] chosen, int[] rejected) -> {
          add(batch, task, prompt, chosen, dropouts.apply(sequence++));
          add(batch, task, prompt, rejected, dropouts.apply(sequence++));
        }
        case Example.Paraphrase(Example.Text original, Example.Text paraphrased) -> {
          for (Example.Text wording : List.of(original, paraphrased)) {
            batch
                .add(task, wording.ids(), wording.labels(), dropouts.apply(sequence++))
                .show(Example.Paraphrase.lastOfPrompt(wording));
          }
        }
      }
    }
  }

  private static void add(
      MicroBatch.Builder batch, int task, int[] prompt, int[] answer, Dropout dropout) {
    int[] ids = Arrays.copyOf(prompt, prompt.length + answer.length);
    System.arraycopy(answer, 0, ids, prompt.length, answer.length);
    int[] labels = ids.clone();
    Arrays.fill(labels, 0, prompt.length, MicroBatch.NO_LOSS);
    batch.add(task, ids, labels, dropout);
  }

  /** Returns how many tokens are to be predicted. */
  long labels() {
    long count = 0;
    for (Example example : examples) {
      count +=
          switch (example) {
            case Example.Text text -> labels(text);
            case Example.Paraphrase pair -> labels(pair.original()) + labels(pair.paraphrased());
            case Example.Preference p -> p.chosen().length + p.rejected().length;
          };
    }
    return count;
  }

  private static long labels(Example.Text text) {
    return Arrays.stream(text.labels(), 1, text.labels().length)
        .filter(label -> label != MicroBatch.NO_LOSS)
        .count();
  }
}
