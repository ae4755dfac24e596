package dev.lorikeet.jlama;

import dev.lorikeet.host.serving.Limits;
import dev.lorikeet.host.serving.Policy;
import dev.lorikeet.host.serving.RouterPolicy;
import dev.lorikeet.host.serving.ServingOptions;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.tensor.ElementType;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The options of {@link JlamaModelProvider}, from their text form.
 *
 * @param threads worker threads, the decoding thread included
 * @param serving how requests are served
 * @param kvType how keys and values are stored
 * @param copiedWeights whether weights are copied into huge pages rather than mapped
 * @param switching how a mixture that a whole step shares is applied
 */
record ModelOptions(
    int threads,
    ServingOptions serving,
    ElementType kvType,
    boolean copiedWeights,
    Switching switching) {
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
  private static final Set<String> KNOWN =
      Set.of(
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
          PREFIX_CACHE);

  private static final int DEFAULT_BATCH_SIZE = 32;
  private static final int DEFAULT_BATCH_TOKENS = 256;
  private static final int DEFAULT_QUEUE = 1024;

  static ModelOptions parse(Map<String, String> options) {
    for (String key : options.keySet()) {
      if (!KNOWN.contains(key)) {
        throw new IllegalArgumentException(
            "option '"
                + key
                + "': unknown to the base model plugin '"
                + JlamaModelProvider.NAME
                + "', expected one of "
                + KNOWN.stream().sorted().toList());
      }
    }
    int threads = number(options, THREADS, Runtime.getRuntime().availableProcessors(), 1, 1024);
    int sequences = number(options, BATCH_SIZE, DEFAULT_BATCH_SIZE, 1, 4096);
    int tokens =
        number(options, BATCH_TOKENS, Math.max(DEFAULT_BATCH_TOKENS, sequences), sequences, 65_536);
    int queue = number(options, QUEUE, DEFAULT_QUEUE, 1, 1_000_000);
    return new ModelOptions(
        threads,
        new ServingOptions(
            new Limits(tokens, sequences, queue, 2 * sequences),
            policy(options),
            routers(options),
            prefixCache(options)),
        kvType(options),
        copiedWeights(options),
        switching(options));
  }

  private static int number(
      Map<String, String> options, String key, int otherwise, int least, int most) {
    String text = options.get(key);
    if (text == null) {
      return otherwise;
    }
    try {
      int value = Integer.parseInt(text.strip());
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      // Falls through to the refusal, which shows the text.
    }
    throw new IllegalArgumentException(
        "option '"
            + key
            + "': expected a number from "
            + least
            + " to "
            + most
            + ", found '"
            + text
            + "'");
  }

  private static RouterPolicy routers(Map<String, String> options) {
    int milliseconds =
        number(
            options, ROUTER_TIMEOUT, (int) RouterPolicy.DEFAULT.timeout().toMillis(), 0, 3_600_000);
    String text = options.getOrDefault(ROUTER_FALLBACK, "fail");
    RouterPolicy.Fallback fallback =
        switch (text.toLowerCase(Locale.ROOT)) {
          case "fail" -> RouterPolicy.Fallback.FAIL;
          case "base" -> RouterPolicy.Fallback.BASE;
          default ->
              throw new IllegalArgumentException(
                  "option '" + ROUTER_FALLBACK + "': expected fail or base, found '" + text + "'");
        };
    return new RouterPolicy(Duration.ofMillis(milliseconds), fallback);
  }

  private static ElementType kvType(Map<String, String> options) {
    String text = options.getOrDefault(KV_TYPE, "f16");
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "f16" -> ElementType.F16;
      case "f32" -> ElementType.F32;
      default ->
          throw new IllegalArgumentException(
              "option '" + KV_TYPE + "': expected f16 or f32, found '" + text + "'");
    };
  }

  private static Policy policy(Map<String, String> options) {
    String text = options.getOrDefault(POLICY, "fcfs");
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "fcfs" -> Policy.FCFS;
      case "clustered" -> Policy.CLUSTERED;
      case "fair" -> Policy.FAIR;
      default ->
          throw new IllegalArgumentException(
              "option '" + POLICY + "': expected fcfs, clustered or fair, found '" + text + "'");
    };
  }

  private static boolean prefixCache(Map<String, String> options) {
    String text = options.getOrDefault(PREFIX_CACHE, "true");
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "true" -> true;
      case "false" -> false;
      default ->
          throw new IllegalArgumentException(
              "option '" + PREFIX_CACHE + "': expected true or false, found '" + text + "'");
    };
  }

  private static boolean copiedWeights(Map<String, String> options) {
    String text = options.getOrDefault(WEIGHTS, "mapped");
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "mapped" -> false;
      case "copied" -> true;
      default ->
          throw new IllegalArgumentException(
              "option '" + WEIGHTS + "': expected mapped or copied, found '" + text + "'");
    };
  }

  private static Switching switching(Map<String, String> options) {
    String text = options.getOrDefault(SWITCHING, "delta");
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "delta" -> Switching.DELTA;
      case "auto" -> Switching.AUTO;
      case "merge" -> Switching.MERGE;
      default ->
          throw new IllegalArgumentException(
              "option '" + SWITCHING + "': expected delta, auto or merge, found '" + text + "'");
    };
  }
}
