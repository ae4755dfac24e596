package com.example.retrieval;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * The router {@code retrieval}. Options: {@code examples}, a JSON file or a directory of example
 * prompts; {@code k}, how many adapters share a request (1 to 16, 2 by default); {@code nearest},
 * how many of an adapter's examples count (5); {@code temperature} of their weights (0.1); {@code
 * min-similarity}, below which the base model answers (0.15).
 */
public final class RetrievalRouterProvider implements RouterProvider {
  private static final String EXAMPLES = "examples";
  private static final String K = "k";
  private static final String NEAREST = "nearest";
  private static final String TEMPERATURE = "temperature";
  private static final String MIN_SIMILARITY = "min-similarity";
  private static final Set<String> KNOWN =
      Set.of(EXAMPLES, K, NEAREST, TEMPERATURE, MIN_SIMILARITY);
  private static final int MAX_ADAPTERS = 16;

  /** For {@link java.util.ServiceLoader}. */
  public RetrievalRouterProvider() {}

  @Override
  public String name() {
    return "retrieval";
  }

  @Override
  public Availability availability() {
    return Availability.available("nearest adapters by example prompts, request scope");
  }

  @Override
  public Router open(RouterConfig config) {
    Map<String, String> options = config.options();
    for (String key : options.keySet()) {
      if (!KNOWN.contains(key)) {
        throw new IllegalArgumentException(
            "option '"
                + key
                + "': unknown to the router 'retrieval', expected one of "
                + KNOWN.stream().sorted().toList());
      }
    }
    String examples = options.getOrDefault(EXAMPLES, "");
    if (examples.isBlank()) {
      throw new IllegalArgumentException(
          "option 'examples': expected by the router 'retrieval', found none");
    }
    RetrievalRouter.Settings settings =
        new RetrievalRouter.Settings(
            (int) number(options, K, 2, 1, MAX_ADAPTERS),
            (int) number(options, NEAREST, 5, 1, Integer.MAX_VALUE),
            number(options, TEMPERATURE, 0.1, 0.001, 1000),
            number(options, MIN_SIMILARITY, 0.15, -1, 1));
    return new RetrievalRouter(new MiniLm(), ExamplePrompts.read(Path.of(examples)), settings);
  }

  private static double number(
      Map<String, String> options, String key, double otherwise, double least, double most) {
    String text = options.get(key);
    if (text == null) {
      return otherwise;
    }
    try {
      double value = Double.parseDouble(text.strip());
      boolean whole =
          value == Math.rint(value) || key.equals(TEMPERATURE) || key.equals(MIN_SIMILARITY);
      if (value >= least && value <= most && whole) {
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
}
