package dev.lorikeet.bench.families;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.bench.model.RandomFamily;
import dev.lorikeet.bench.model.Vocabulary;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/** A model that decodes, one batch at a time. */
final class Decoding implements AutoCloseable {
  private static final long POOL_BYTES = 512L << 20;
  private static final int PROMPT = 16;

  private final Lorikeet lorikeet;
  private final Vocabulary vocabulary;
  private final LongSupplier clock;
  private final Architecture architecture;
  private final Map<String, Long> bytes = new HashMap<>();
  private long seed = 1;

  /**
   * Opens a model.
   *
   * @param clock nanoseconds, read on the decoding thread
   */
  Decoding(Path model, Vocabulary vocabulary, int threads, LongSupplier clock) {
    this.vocabulary = vocabulary;
    this.clock = clock;
    architecture = Families.read(model);
    try (Arena arena = Arena.ofConfined()) {
      WeightFiles.map(model, arena)
          .forEach((name, tensor) -> bytes.put(name, tensor.bytes().byteSize()));
    }
    lorikeet =
        Lorikeet.builder(model)
            .poolBytes(POOL_BYTES)
            .modelOption("threads", Integer.toString(threads))
            .modelOption("prefix-cache", "false")
            .open();
  }

  /** Returns the bytes of weights that a step of so many sequences reads. */
  double bytesOfStep(int sequences) {
    return RandomFamily.bytesOfStep(architecture, bytes, sequences);
  }

  /**
   * Decodes sequences side by side, from when all have their first token.
   *
   * @return seconds of a step
   */
  double step(int sequences, int tokens) {
    return step(sequences, tokens, Optional.empty());
  }

  /** Registers an adapter. */
  AdapterSpec register(String name, Path adapter) {
    return lorikeet.register(name, adapter);
  }

  /** Decodes as {@link #step(int, int)} does, all sequences with an adapter if there is one. */
  double step(int sequences, int tokens, Optional<String> adapter) {
    AdapterChoice choice =
        adapter.<AdapterChoice>map(AdapterChoice::named).orElse(new AdapterChoice.None());
    AtomicInteger begun = new AtomicInteger();
    AtomicLong from = new AtomicLong();
    AtomicLong to = new AtomicLong();
    List<Generation> running = new ArrayList<>();
    for (int i = 0; i < sequences; i++) {
      boolean[] first = {true};
      running.add(
          lorikeet.submit(
              GenerationRequest.tokens(vocabulary.prompt(seed++, PROMPT))
                  .adapter(choice)
                  .stop(StopConditions.maxTokens(tokens).ignoringEos())
                  .build(),
              RequestObserver.tokens(
                  token -> {
                    long now = clock.getAsLong();
                    if (first[0]) {
                      first[0] = false;
                      if (begun.incrementAndGet() == sequences) {
                        from.set(now);
                      }
                    }
                    to.set(now);
                  })));
    }
    running.forEach(Generation::await);
    return (to.get() - from.get()) / 1e9 / (tokens - 1);
  }

  @Override
  public void close() {
    lorikeet.close();
  }
}
