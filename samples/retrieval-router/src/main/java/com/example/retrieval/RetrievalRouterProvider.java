package com.example.retrieval;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.nio.file.Path;

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
    Options options =
        Options.of(
            "router plugin 'retrieval'",
            config.options(),
            EXAMPLES,
            K,
            NEAREST,
            TEMPERATURE,
            MIN_SIMILARITY);
    Path examples = options.path(EXAMPLES);
    RetrievalRouter.Settings settings =
        new RetrievalRouter.Settings(
            options.number(K, 2, 1, MAX_ADAPTERS),
            options.number(NEAREST, 5, 1, Integer.MAX_VALUE),
            options.decimal(TEMPERATURE, 0.1, 0.001, 1000),
            options.decimal(MIN_SIMILARITY, 0.15, -1, 1));
    return new RetrievalRouter(new MiniLm(), ExamplePrompts.read(examples), settings);
  }
}
