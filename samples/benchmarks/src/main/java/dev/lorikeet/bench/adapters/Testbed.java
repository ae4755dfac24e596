package dev.lorikeet.bench.adapters;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Opens models with many adapters in a pool that holds a fixed number of them beside the KV cache
 * of a full batch.
 *
 * @param model Hugging Face directory
 * @param shape its sizes
 * @param farm the adapters
 * @param policy the base model's admission policy
 * @param sequences the most sequences of a batch
 * @param hot how many adapters the pool holds
 * @param promptTokens length of a prompt
 * @param tokens how many tokens a request generates
 */
record Testbed(
    Path model,
    ModelShape shape,
    AdapterFarm farm,
    String policy,
    int sequences,
    int hot,
    int promptTokens,
    int tokens) {
  private static final int PAGE_BYTES = 64 * 1024;
  private static final int BYTES = 2;

  /** Returns the size of the pool. */
  long poolBytes() throws IOException {
    long adapterPages = Math.ceilDiv(farm.bytes(), PAGE_BYTES) * 21 / 20 + 1;
    long tokenBytes = 2L * shape.layers() * shape.kvWidth() * BYTES;
    long sequencePages =
        2 * Math.ceilDiv((promptTokens + tokens) * tokenBytes, PAGE_BYTES) + shape.layers();
    return (hot * adapterPages + sequences * sequencePages) * PAGE_BYTES;
  }

  /** Opens the model and registers adapters. */
  Lorikeet open(int registered) throws IOException {
    // Prompts share nothing here; without kept prefixes, every KV page has to come back.
    Lorikeet lorikeet =
        Lorikeet.builder(model)
            .poolBytes(poolBytes())
            .modelOption("prefix-cache", "false")
            .modelOption("policy", policy)
            .modelOption("max-batch-size", Integer.toString(sequences))
            .open();
    for (int i = 0; i < registered; i++) {
      lorikeet.register(Integer.toString(i), farm.adapter(i));
    }
    return lorikeet;
  }

  /** Returns what sends requests. */
  Load load(Lorikeet lorikeet) {
    return new Load(lorikeet, RandomWeights.vocabulary(shape), promptTokens, tokens);
  }

  /** Writes the files of all adapters that are going to be registered. */
  void prepare(List<Integer> registered) throws IOException {
    int most = registered.stream().mapToInt(Integer::intValue).max().orElse(0);
    for (int i = 0; i < most; i++) {
      farm.adapter(i);
    }
  }
}
