package dev.lorikeet.conformance.trial;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.PluginProvider;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.opentest4j.TestAbortedException;

/**
 * What the suites of all contracts share: the rules of providers (V1 to V3), and a {@link Trial}
 * for each test.
 */
@ExtendWith(TrialExtension.class)
@Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
public abstract class ProviderRules {
  /** An option that no plugin has any use for. */
  private static final String UNKNOWN_OPTION = "no-such-option-7b1f";

  /** The run of the test under way: another one for each test. */
  protected Trial trial = new Trial(0, "", Profile.QUICK, Duration.ofSeconds(60));

  protected ProviderRules() {}

  /** Returns the provider under test, or empty if there is none. */
  protected abstract Optional<? extends PluginProvider> provider();

  /**
   * Returns the options that the implementation needs; none unless overridden. Every configuration
   * that the suite hands out for what is tested carries them.
   */
  protected Map<String, String> options() {
    return Map.of();
  }

  /** Opens what the provider provides, with these options, and closes it. */
  protected abstract void openAndClose(Map<String, String> options) throws Exception;

  @Test
  public final void required_V1_theNameIsWellFormedAndStable() {
    PluginProvider provider = requireProvider();
    String name = provider.name();
    assertTrue(
        name.matches("[a-z0-9]+(-[a-z0-9]+)*"),
        () -> "name: expected lower case letters, digits and single hyphens, found '" + name + "'");
    for (int i = 0; i < 10; i++) {
      assertEquals(name, provider.name(), "name: expected the same every time");
    }
  }

  @Test
  public final void required_V2_availabilityIsHonest() {
    PluginProvider provider = requireProvider();
    Availability availability =
        assertDoesNotThrow(provider::availability, "availability: expected no exception");
    switch (availability) {
      case Availability.Available available ->
          opens("says that it is available (" + available.detail() + "), but does not open");
      case Availability.Unavailable unavailable ->
          assertTrue(!unavailable.detail().isBlank(), "unavailable: expected a reason, found none");
      case Availability.Failed failed ->
          fail("availability: expected available or unavailable, found failed: " + failed.detail());
    }
  }

  private void opens(String otherwise) {
    try {
      openAndClose(options());
    } catch (TestAbortedException e) {
      throw e;
    } catch (Exception e) {
      throw new AssertionError(otherwise + ": " + e, e);
    }
  }

  @Test
  public final void required_V3_unknownOptionsAreRejectedByName() {
    refusesUnknownOptions();
  }

  /** Checks that an unknown option is refused and named. */
  protected final void refusesUnknownOptions() {
    if (requireProvider().availability() instanceof Availability.Unavailable unavailable) {
      throw Trial.notApplicable("the provider is not available: " + unavailable.detail());
    }
    Map<String, String> options = new LinkedHashMap<>(options());
    options.put(UNKNOWN_OPTION, "1");
    IllegalArgumentException refusal =
        assertThrows(
            IllegalArgumentException.class,
            () -> openAndClose(options),
            "an unknown option: expected IllegalArgumentException");
    Expect.message(refusal, UNKNOWN_OPTION);
  }

  /** Ends a test that stands for a rule, or a part of one, that no test can check. */
  protected static void untested(String reason) {
    if (!reason.isEmpty()) {
      throw new TestAbortedException(Verdicts.UNTESTED + reason);
    }
  }

  private PluginProvider requireProvider() {
    return provider()
        .map(PluginProvider.class::cast)
        .orElseThrow(() -> Trial.notApplicable("no provider was given"));
  }
}
