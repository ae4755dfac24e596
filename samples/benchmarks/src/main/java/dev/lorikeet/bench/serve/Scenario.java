package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.model.Vocabulary;
import java.util.Collections;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** What is measured. */
enum Scenario {
  ONE("1 sequence, no adapter", 1, Adapters.NONE, 17),
  ONE_ADAPTER("1 sequence, one adapter", 1, Adapters.ONE, 17),
  EIGHT("8 sequences, no adapter", 8, Adapters.NONE, 17),
  EIGHT_LONG("8 sequences behind 512 tokens", 8, Adapters.NONE, 512),
  EIGHT_ONE_ADAPTER("8 sequences, one adapter", 8, Adapters.ONE, 17),
  EIGHT_ADAPTERS("8 sequences, 8 adapters", 8, Adapters.DIFFERENT, 17),
  PREFILL("prefill of 256 tokens", 1, Adapters.NONE, 256);

  /** Which adapters the sequences use. */
  private enum Adapters {
    NONE,
    ONE,
    DIFFERENT
  }

  static final int SEQUENCES = 8;

  private final String title;
  private final int sequences;
  private final Adapters adapters;
  private final int promptTokens;

  Scenario(String title, int sequences, Adapters adapters, int promptTokens) {
    this.title = title;
    this.sequences = sequences;
    this.adapters = adapters;
    this.promptTokens = promptTokens;
  }

  String title() {
    return title;
  }

  int sequences() {
    return sequences;
  }

  /** Returns the length of a prompt: the begin of the sequence, then random tokens. */
  int promptTokens() {
    return promptTokens;
  }

  boolean isPrefill() {
    return this == PREFILL;
  }

  /** Returns how many different adapters a step reads. */
  int distinctAdapters() {
    return switch (adapters) {
      case NONE -> 0;
      case ONE -> 1;
      case DIFFERENT -> sequences;
    };
  }

  /**
   * Returns the workload. Prompts are new for every scenario and seed: no cache of prefixes helps.
   *
   * @param tokens how many tokens to generate, but for prefill, which ends with the first
   */
  Workload workload(Vocabulary vocabulary, long seed, int tokens) {
    long first = new SplittableRandom(31 * seed + name().hashCode()).nextLong();
    return new Workload(
        IntStream.range(0, sequences)
            .mapToObj(i -> vocabulary.prompt(first + i, promptTokens - 1))
            .toList(),
        switch (adapters) {
          case NONE -> Collections.nCopies(sequences, Workload.NO_ADAPTER);
          case ONE -> Collections.nCopies(sequences, 0);
          case DIFFERENT -> IntStream.range(0, sequences).boxed().toList();
        },
        isPrefill() ? 1 : tokens);
  }

  /** Returns the scenario's figure, tokens per second, of an outcome. */
  double figure(Outcome outcome) {
    return isPrefill()
        ? promptTokens * 1000 / outcome.timeToFirstTokenMs()
        : outcome.decodeTokensPerSecond();
  }

  /**
   * Returns whether a contender runs the scenario: Jlama has no LoRA and would be at eight long
   * prompts, one after the other, for minutes; one adapter can be merged.
   */
  boolean runsOn(Contender contender) {
    return switch (contender) {
      case LORIKEET, LLAMA_CPP -> true;
      case LORIKEET_AUTO -> adapters == Adapters.ONE;
      case JLAMA -> adapters == Adapters.NONE && this != EIGHT_LONG;
    };
  }
}
