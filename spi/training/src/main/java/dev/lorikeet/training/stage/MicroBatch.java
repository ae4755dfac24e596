package dev.lorikeet.training.stage;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.host.step.Positions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * What goes through the layers at once: sequences of one or several tasks, packed one behind the
 * other without padding. Sequence {@code s} has the tokens {@code [start(s), start(s + 1))}, at the
 * positions 0, 1, and so on, and belongs to {@code task(s)}. Flat arrays, so that it can be sent to
 * another process as it is. Immutable; any number of threads may read it.
 *
 * <p>The label of a token is the token that is to follow it, or {@link #NO_LOSS}. What a task gets
 * of a micro-batch does not depend on what other tasks share it, but it may depend, in the last
 * bits, on how the task's own sequences are cut into micro-batches.
 */
public final class MicroBatch implements Positions {
  /** The label of a token that carries no loss. */
  public static final int NO_LOSS = -100;

  private final int[] tokens;
  private final int[] labels;
  private final int[] starts;
  private final int[] tasks;
  private final int[] positions;
  private final List<Dropout> dropouts;
  private final Map<Integer, TokenMixture> mixtures;
  private final int[] shown;

  /**
   * Creates a micro-batch of copies of arrays, such as those that came from another process.
   *
   * @param tokens the ids of the tokens of all sequences
   * @param labels for each token the id that is to follow it, or {@link #NO_LOSS}
   * @param starts the first token of each sequence, increasing from 0, and behind them the number
   *     of tokens
   * @param tasks the number of the task of each sequence, at least 0: whatever the caller counts by
   */
  public MicroBatch(int[] tokens, int[] labels, int[] starts, int[] tasks) {
    this(tokens, labels, starts, tasks, List.of(), Map.of(), new int[0]);
  }

  private MicroBatch(
      int[] tokens,
      int[] labels,
      int[] starts,
      int[] tasks,
      List<Dropout> dropouts,
      Map<Integer, TokenMixture> mixtures,
      int[] shown) {
    this.mixtures = Map.copyOf(mixtures);
    this.shown = shown.clone();
    this.dropouts = dropouts.stream().anyMatch(Dropout::drops) ? List.copyOf(dropouts) : List.of();
    this.tokens = tokens.clone();
    this.labels = labels.clone();
    this.starts = starts.clone();
    this.tasks = tasks.clone();
    this.positions = new int[tokens.length];
    if (tokens.length == 0 || labels.length != tokens.length) {
      throw new IllegalArgumentException(
          "micro-batch: expected tokens and as many labels, found "
              + tokens.length
              + " and "
              + labels.length);
    }
    if (tasks.length == 0
        || starts.length != tasks.length + 1
        || starts[0] != 0
        || starts[tasks.length] != tokens.length) {
      throw new IllegalArgumentException(
          "micro-batch: expected starts of "
              + tasks.length
              + " sequences, at least one, from 0 to "
              + tokens.length
              + ", found "
              + Arrays.toString(starts));
    }
    for (int s = 0; s < tasks.length; s++) {
      if (starts[s] >= starts[s + 1] || starts[s + 1] > tokens.length || tasks[s] < 0) {
        throw new IllegalArgumentException(
            "micro-batch: expected sequence "
                + s
                + " to have tokens and a task of at least 0, found tokens "
                + starts[s]
                + " to "
                + starts[s + 1]
                + " and task "
                + tasks[s]);
      }
      for (int t = starts[s]; t < starts[s + 1]; t++) {
        positions[t] = t - starts[s];
      }
    }
    for (int t = 0; t < tokens.length; t++) {
      if (tokens[t] < 0 || (labels[t] < 0 && labels[t] != NO_LOSS)) {
        throw new IllegalArgumentException(
            "micro-batch: expected ids of at least 0, or the label "
                + NO_LOSS
                + ", found id "
                + tokens[t]
                + " and label "
                + labels[t]
                + " at token "
                + t);
      }
    }
  }

  /**
   * Returns the same with what each sequence does without.
   *
   * @param each one for each sequence
   */
  public MicroBatch withDropouts(List<Dropout> each) {
    if (each.size() != tasks.length) {
      throw new IllegalArgumentException(
          "micro-batch: expected a dropout for each of "
              + tasks.length
              + " sequences, found "
              + each.size());
    }
    return new MicroBatch(tokens, labels, starts, tasks, each, mixtures, shown);
  }

  /** Returns whether any sequence does without anything. */
  public boolean drops() {
    return !dropouts.isEmpty();
  }

  /** Returns what a sequence does without. */
  public Dropout dropout(int sequence) {
    return dropouts.isEmpty() ? Dropout.NONE : dropouts.get(sequence);
  }

  /**
   * Returns the same with tasks whose tokens use several adapters.
   *
   * @param each by task; has as many tokens as the task
   */
  public MicroBatch withMixtures(Map<Integer, TokenMixture> each) {
    each.forEach(
        (task, mixture) -> {
          int count = tokensOf(task).length;
          if (mixture.tokens() != count) {
            throw new IllegalArgumentException(
                "micro-batch: expected a mixture for each of "
                    + count
                    + " tokens of task "
                    + task
                    + ", found "
                    + mixture.tokens());
          }
        });
    return new MicroBatch(tokens, labels, starts, tasks, dropouts, each, shown);
  }

  /**
   * Returns the same with tokens whose final hidden states are wanted.
   *
   * @param each the tokens, strictly increasing
   */
  public MicroBatch withShown(int[] each) {
    for (int i = 0; i < each.length; i++) {
      Objects.checkIndex(each[i], tokens.length);
      if (i > 0 && each[i] <= each[i - 1]) {
        throw new IllegalArgumentException(
            "micro-batch: expected tokens to show that increase, found " + Arrays.toString(each));
      }
    }
    return new MicroBatch(tokens, labels, starts, tasks, dropouts, mixtures, each);
  }

  /** Returns a copy of the tokens whose final hidden states are wanted. */
  public int[] copyShown() {
    return shown.clone();
  }

  /** Returns how many tokens those are. */
  public int shown() {
    return shown.length;
  }

  /** Returns how many of these tokens are in sequences before one. */
  public int shownBefore(int sequence) {
    int place = Arrays.binarySearch(shown, starts[sequence]);
    return place < 0 ? -place - 1 : place;
  }

  /** Returns the mixtures of the tasks that have any. */
  public Map<Integer, TokenMixture> mixtures() {
    return mixtures;
  }

  /** Returns the tokens of a task, in their order. */
  public int[] tokensOf(int task) {
    return IntStream.range(0, tasks.length)
        .filter(s -> tasks[s] == task)
        .flatMap(s -> IntStream.range(starts[s], starts[s + 1]))
        .toArray();
  }

  /** Returns a builder. */
  public static Builder builder() {
    return new Builder();
  }

  /** Returns the number of tokens of all sequences. */
  public int tokens() {
    return tokens.length;
  }

  /** Returns the number of sequences. */
  public int sequences() {
    return tasks.length;
  }

  /** Returns the id of a token. */
  public int token(int token) {
    return tokens[token];
  }

  /** Returns the id that is to follow a token, or {@link #NO_LOSS}. */
  public int label(int token) {
    return labels[token];
  }

  @Override
  public int position(int token) {
    return positions[token];
  }

  /**
   * Returns the first token of a sequence; of the sequence behind the last, the number of tokens.
   */
  public int start(int sequence) {
    return starts[sequence];
  }

  /** Returns the number of the task of a sequence. */
  public int task(int sequence) {
    return tasks[sequence];
  }

  /** Returns a copy of the ids of all tokens. */
  public int[] copyTokens() {
    return tokens.clone();
  }

  /** Returns a copy of the labels of all tokens. */
  public int[] copyLabels() {
    return labels.clone();
  }

  /** Returns a copy of where sequences begin, with the number of tokens behind. */
  public int[] copyStarts() {
    return starts.clone();
  }

  /** Returns a copy of the tasks of all sequences. */
  public int[] copyTasks() {
    return tasks.clone();
  }

  /** Returns the length of the longest sequence. */
  public int longest() {
    int longest = 0;
    for (int s = 0; s < tasks.length; s++) {
      longest = Math.max(longest, starts[s + 1] - starts[s]);
    }
    return longest;
  }

  /** Returns how many tokens of a task have a label. */
  public int labelled(int task) {
    int count = 0;
    for (int s = 0; s < tasks.length; s++) {
      if (tasks[s] == task) {
        for (int t = starts[s]; t < starts[s + 1]; t++) {
          count += labels[t] == NO_LOSS ? 0 : 1;
        }
      }
    }
    return count;
  }

  /**
   * Returns the sum of a sequence's values over its tokens with a label, in their order.
   *
   * @param values one for each token of the micro-batch
   */
  public double sum(int sequence, double[] values) {
    Objects.checkIndex(sequence, tasks.length);
    double sum = 0;
    for (int t = starts[sequence]; t < starts[sequence + 1]; t++) {
      sum += labels[t] == NO_LOSS ? 0 : values[t];
    }
    return sum;
  }

  /**
   * Fills a batch of adapters: one segment for each task, in the order in which the tasks appear
   * here, with all tokens of the task, weight 1.
   *
   * @param batch is reset
   * @param adapters gives the adapter of a task, or nothing for one that uses the base model
   * @return the batch
   */
  public LoraBatch fill(LoraBatch batch, IntFunction<Optional<AdapterLease>> adapters) {
    return fillMixed(batch, task -> adapters.apply(task).stream().toList());
  }

  /**
   * Fills a batch of adapters. A task without a mixture has one segment, as with {@link #fill}; one
   * with a mixture has a segment for each of its adapters, with the tokens that chose it.
   *
   * @param batch is reset
   * @param adapters gives the adapters of a task: one, or as many as its mixture is of, or none for
   *     the base model
   * @return the batch
   */
  public LoraBatch fillMixed(
      LoraBatch batch, IntFunction<? extends List<? extends AdapterLease>> adapters) {
    batch.reset(tokens.length);
    for (int task : Arrays.stream(tasks).distinct().toArray()) {
      List<? extends AdapterLease> all = adapters.apply(task);
      int[] own = tokensOf(task);
      for (int adapter = 0; adapter < all.size(); adapter++) {
        batch.beginSegment(all.get(adapter));
        TokenMixture mixture = mixtures.get(task);
        for (int i = 0; i < own.length; i++) {
          if (mixture == null) {
            batch.add(own[i], 1);
            continue;
          }
          int place = mixture.place(i, adapter);
          if (place >= 0) {
            batch.add(own[i], mixture.weights()[place]);
          }
        }
      }
    }
    return batch;
  }

  /** Packs sequences. */
  public static final class Builder {
    private int[] tokens = new int[64];
    private int[] labels = new int[64];
    private int[] starts = new int[9];
    private int[] tasks = new int[8];
    private final List<Dropout> dropouts = new ArrayList<>();
    private int[] shown = new int[0];
    private int shownCount;
    private int sequences;

    private Builder() {}

    /** Adds a sequence of which every token but the first is to be predicted. */
    public Builder add(int task, int[] ids) {
      return add(task, ids, ids);
    }

    /**
     * Adds a sequence.
     *
     * @param task the task it belongs to
     * @param ids its tokens
     * @param targets for each token its own id if it is to be predicted from those before it, or
     *     {@link #NO_LOSS}: what Hugging Face calls labels. Nothing predicts the first
     */
    public Builder add(int task, int[] ids, int[] targets) {
      return add(task, ids, targets, Dropout.NONE);
    }

    /**
     * Adds a sequence.
     *
     * @param task the task it belongs to
     * @param ids its tokens
     * @param targets as above
     * @param dropout what it does without
     */
    public Builder add(int task, int[] ids, int[] targets, Dropout dropout) {
      if (ids.length == 0 || targets.length != ids.length) {
        throw new IllegalArgumentException(
            "sequence: expected tokens and as many targets, found "
                + ids.length
                + " and "
                + targets.length);
      }
      int start = starts[sequences];
      int end = start + ids.length;
      if (end > tokens.length) {
        tokens = Arrays.copyOf(tokens, Math.max(2 * tokens.length, end));
        labels = Arrays.copyOf(labels, tokens.length);
      }
      if (sequences == tasks.length) {
        tasks = Arrays.copyOf(tasks, 2 * sequences);
        starts = Arrays.copyOf(starts, 2 * sequences + 1);
      }
      System.arraycopy(ids, 0, tokens, start, ids.length);
      System.arraycopy(targets, 1, labels, start, ids.length - 1);
      labels[end - 1] = NO_LOSS;
      dropouts.add(dropout);
      tasks[sequences++] = task;
      starts[sequences] = end;
      return this;
    }

    /** Wants the final hidden state of a token of the sequence added last, behind others of it. */
    public Builder show(int position) {
      int token = starts[sequences - 1] + Objects.checkIndex(position, lastLength());
      if (shownCount == shown.length) {
        shown = Arrays.copyOf(shown, 2 * shownCount + 2);
      }
      shown[shownCount++] = token;
      return this;
    }

    private int lastLength() {
      return sequences == 0 ? 0 : starts[sequences] - starts[sequences - 1];
    }

    /** Returns the number of tokens so far. */
    public int tokens() {
      return starts[sequences];
    }

    /** Returns the micro-batch; at least one sequence has to be in it. */
    public MicroBatch build() {
      int count = starts[sequences];
      return new MicroBatch(
          Arrays.copyOf(tokens, count),
          Arrays.copyOf(labels, count),
          Arrays.copyOf(starts, sequences + 1),
          Arrays.copyOf(tasks, sequences),
          dropouts,
          Map.of(),
          Arrays.copyOf(shown, shownCount));
    }
  }
}
