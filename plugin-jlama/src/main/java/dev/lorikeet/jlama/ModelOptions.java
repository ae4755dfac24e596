package dev.lorikeet.jlama;

import dev.lorikeet.host.serving.Limits;
import dev.lorikeet.host.serving.Policy;
import dev.lorikeet.host.serving.RouterPolicy;
import dev.lorikeet.host.serving.ServingOptions;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.tensor.ElementType;
import java.time.Duration;
import java.util.EnumSet;
import java.util.Map;

/**
 * The options of {@link JlamaModelProvider}, from their text form.
 *
 * @param threads worker threads, the decoding thread included
 * @param serving how requests are served
 * @param kvType how keys and values are stored
 * @param copiedWeights whether weights are copied into huge pages rather than mapped
 * @param switching how a mixture that a whole step shares is applied
 * @param longContext whether sequences may be longer than those of the first training where other
 *     frequencies are to be used then
 * @param warmUp whether kernels are compiled in the background while the model is opened
 */
record ModelOptions(
    int threads,
    ServingOptions serving,
    ElementType kvType,
    boolean copiedWeights,
    Switching switching,
    boolean longContext,
    boolean warmUp) {
  static final String OWNER = "base model plugin 'jlama'";
  private static final String THREADS = "threads";
  private static final String BATCH_SIZE = "max-batch-size";
  private static final String BATCH_TOKENS = "max-batch-tokens";
  private static final String QUEUE = "max-queue";
  private static final String KV_TYPE = "kv-type";
  private static final String WEIGHTS = "weights";
  private static final String SWITCHING = "switching";
  private static final String POLICY = "policy";
  private static final String ROUTER_TIMEOUT = "router-timeout";
  private static final String ROUTER_FALLBACK = "router-fallback";
  private static final String PREFIX_CACHE = "prefix-cache";
  private static final String LONG_CONTEXT = "long-context";
  private static final String WARM_UP = "warm-up";

  private static final int DEFAULT_BATCH_SIZE = 32;
  private static final int DEFAULT_BATCH_TOKENS = 256;
  private static final int DEFAULT_QUEUE = 1024;

  /** How weights come into memory. */
  private enum Weights {
    /** As the file is mapped. */
    MAPPED,
    /** Copied into huge pages. */
    COPIED
  }

  static ModelOptions parse(Map<String, String> values) {
    Options options =
        Options.of(
            OWNER,
            values,
            THREADS,
            BATCH_SIZE,
            BATCH_TOKENS,
            QUEUE,
            KV_TYPE,
            WEIGHTS,
            SWITCHING,
            POLICY,
            ROUTER_TIMEOUT,
            ROUTER_FALLBACK,
            PREFIX_CACHE,
            LONG_CONTEXT,
            WARM_UP);
    int threads = options.number(THREADS, Runtime.getRuntime().availableProcessors(), 1, 1024);
    int sequences = options.number(BATCH_SIZE, DEFAULT_BATCH_SIZE, 1, 4096);
    int tokens =
        options.number(BATCH_TOKENS, Math.max(DEFAULT_BATCH_TOKENS, sequences), sequences, 65_536);
    int queue = options.number(QUEUE, DEFAULT_QUEUE, 1, 1_000_000);
    return new ModelOptions(
        threads,
        new ServingOptions(
            new Limits(tokens, sequences, queue, 2 * sequences),
            options.choice(POLICY, Policy.FCFS),
            routers(options),
            options.flag(PREFIX_CACHE, true)),
        options.choice(KV_TYPE, ElementType.F16, EnumSet.of(ElementType.F16, ElementType.F32)),
        options.choice(WEIGHTS, Weights.MAPPED) == Weights.COPIED,
        options.choice(SWITCHING, Switching.DELTA),
        options.flag(LONG_CONTEXT, false),
        options.flag(WARM_UP, true));
  }

  private static RouterPolicy routers(Options options) {
    int milliseconds =
        options.number(
            ROUTER_TIMEOUT, (int) RouterPolicy.DEFAULT.timeout().toMillis(), 0, 3_600_000);
    return new RouterPolicy(
        Duration.ofMillis(milliseconds),
        options.choice(ROUTER_FALLBACK, RouterPolicy.DEFAULT.fallback()));
  }
}
