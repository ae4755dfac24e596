package dev.lorikeet.conformance.trial;

import dev.lorikeet.conformance.setup.Profile;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;

/**
 * Gives each test its {@link Trial}, reports the seed and the worst error, and adds to a failure
 * how to see it again.
 */
final class TrialExtension
    implements BeforeEachCallback, AfterEachCallback, TestExecutionExceptionHandler {
  static final String SEED = "lorikeet.conformance.seed";
  static final String PROFILE = "lorikeet.conformance.profile";
  static final String PATIENCE = "lorikeet.conformance.patience";

  private static final long RUN_SEED = ThreadLocalRandom.current().nextLong();

  @Override
  public void beforeEach(ExtensionContext context) {
    long seed = context.getConfigurationParameter(SEED, text -> parseSeed(text)).orElse(RUN_SEED);
    Profile profile =
        context
            .getConfigurationParameter(
                PROFILE, text -> Profile.valueOf(text.toUpperCase(Locale.ROOT)))
            .orElse(Profile.QUICK);
    Duration patience =
        Duration.ofSeconds(
            context.getConfigurationParameter(PATIENCE, Long::parseLong).orElse(60L));
    conformance(context).trial =
        new Trial(seed, context.getRequiredTestMethod().getName(), profile, patience);
  }

  @Override
  public void afterEach(ExtensionContext context) {
    Trial trial = conformance(context).trial;
    context.publishReportEntry(
        trial.worstError() < 0
            ? Map.of("seed", seedText(trial))
            : Map.of("seed", seedText(trial), "worstError", Double.toString(trial.worstError())));
  }

  @Override
  public void handleTestExecutionException(ExtensionContext context, Throwable failure)
      throws Throwable {
    Trial trial = conformance(context).trial;
    failure.addSuppressed(
        new Reproduction(
            "to see it again: -D"
                + SEED
                + "="
                + seedText(trial)
                + " -D"
                + PROFILE
                + "="
                + trial.profile().name().toLowerCase(Locale.ROOT)));
    throw failure;
  }

  private static ProviderRules conformance(ExtensionContext context) {
    return (ProviderRules) context.getRequiredTestInstance();
  }

  private static long parseSeed(String text) {
    return Long.parseUnsignedLong(text, 16);
  }

  private static String seedText(Trial trial) {
    return Long.toHexString(trial.seed());
  }

  /** Carries a line for people along with a failure. */
  private static final class Reproduction extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Reproduction(String message) {
      super(message, null, false, false);
    }
  }
}
