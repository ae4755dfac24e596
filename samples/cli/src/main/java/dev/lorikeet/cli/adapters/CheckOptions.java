package dev.lorikeet.cli.adapters;

import dev.lorikeet.arrow.AdapterChecks;
import dev.lorikeet.cli.options.LinkOptions;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How strictly an adapter is looked at. */
final class CheckOptions {
  @Option(
      names = "--strict",
      description =
          "Refuse an adapter without weights for all modules that its configuration names; else a warning counts them. Needs --model.")
  private boolean strict;

  @Mixin private LinkOptions links = new LinkOptions();

  boolean strict() {
    return strict;
  }

  /** Returns what to check. */
  AdapterChecks checks() {
    return new AdapterChecks(strict, links.folders());
  }

  /** Returns what to check of an adapter whose model is not known. */
  AdapterChecks withoutModel() {
    return new AdapterChecks(false, links.folders());
  }
}
