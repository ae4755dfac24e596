package dev.lorikeet.bench.serve;

import picocli.CommandLine.Option;

/** On what model contenders are compared, and how long; options of every such benchmark. */
final class Extent {
  private static final int QUICK_ROUNDS = 2;
  private static final int QUICK_TOKENS = 16;

  @Option(
      names = "--model",
      paramLabel = "NAME|DIR",
      defaultValue = "135m",
      description =
          "Random weights of a size, 8m, 135m or 1.1b, or a Hugging Face directory of a Llama model or its name, owner/name (${DEFAULT-VALUE}).")
  private String model = "";

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Rounds; in each, every contender does all there is to do (${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens that each sequence generates (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(names = "--quick", description = "Two rounds of 16 tokens: a look, not a measurement.")
  private boolean quick;

  String model() {
    return model;
  }

  int rounds() {
    return quick ? QUICK_ROUNDS : rounds;
  }

  int tokens() {
    return quick ? QUICK_TOKENS : tokens;
  }
}
