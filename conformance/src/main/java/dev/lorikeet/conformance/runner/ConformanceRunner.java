package dev.lorikeet.conformance.runner;

import dev.lorikeet.Plugin;
import dev.lorikeet.Plugins;
import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.plugin.PluginProvider;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Finds every provider in some jars, runs what applies to each, and reports. */
public final class ConformanceRunner {
  /** The exit code where everything that was tested conforms. */
  public static final int CONFORMS = 0;

  /** The exit code where something does not conform, or nothing could be tested. */
  public static final int DOES_NOT_CONFORM = 1;

  /** The exit code where the request itself makes no sense. */
  public static final int USAGE = 2;

  private ConformanceRunner() {}

  /**
   * What to run.
   *
   * @param jars the plugin's jars, its own dependencies included, or folders of classes; providers
   *     are looked for in these alone. None: every provider on the class path is tested
   * @param options what providers are opened with; none for those that need none
   * @param profile how much to try
   * @param seed the seed of an earlier run, to see it again; empty for a new one
   * @param report where the reports go ({@code report.txt}, {@code conformance.json}, {@code
   *     TEST-*.xml}); empty for none
   */
  public record Options(
      List<Path> jars,
      List<ProviderOption> options,
      Profile profile,
      OptionalLong seed,
      Optional<Path> report) {
    public Options {
      jars = List.copyOf(jars);
      options = List.copyOf(options);
    }

    /** Returns what tests some jars with a profile: no options, a new seed, no report files. */
    public static Options of(List<Path> jars, Profile profile) {
      return new Options(jars, List.of(), profile, OptionalLong.empty(), Optional.empty());
    }

    /** Returns the same with report files. */
    public Options reporting(Path folder) {
      return new Options(jars, options, profile, seed, Optional.of(folder));
    }
  }

  /**
   * Runs the suite and prints a report.
   *
   * @return {@link #CONFORMS}, {@link #DOES_NOT_CONFORM} or {@link #USAGE}
   */
  public static int run(Options options, PrintStream out) {
    List<URL> locations = new ArrayList<>();
    for (Path jar : options.jars) {
      if (!Files.exists(jar)) {
        out.println("conformance: " + jar + ": no such file");
        return USAGE;
      }
      locations.add(url(jar));
    }
    long seed =
        options.seed.isPresent()
            ? options.seed.getAsLong()
            : ThreadLocalRandom.current().nextLong();
    ClassLoader before = Thread.currentThread().getContextClassLoader();
    try (URLClassLoader loader =
        new URLClassLoader(
            locations.toArray(URL[]::new), ConformanceRunner.class.getClassLoader())) {
      Thread.currentThread().setContextClassLoader(loader);
      List<Plugin> plugins = discover(loader, locations);
      if (plugins.isEmpty()) {
        out.println(
            "conformance: found no provider in "
                + (locations.isEmpty() ? "the class path" : options.jars)
                + "; expected META-INF/services/<provider interface> in the jar");
        return DOES_NOT_CONFORM;
      }
      try {
        ProviderOption.check(options.options, plugins);
      } catch (IllegalArgumentException e) {
        out.println("conformance: " + e.getMessage());
        return USAGE;
      }
      List<PluginReport> reports = new ArrayList<>();
      TextReport text = new TextReport(out, options.profile, seed);
      text.begin(plugins.size());
      for (Plugin plugin : plugins) {
        Map<String, String> given = ProviderOption.of(plugin, options.options);
        PluginReport report =
            new PluginReport(plugin, given, test(plugin, given, loader, options.profile, seed));
        text.print(report);
        reports.add(report);
      }
      boolean conforms = text.end(reports);
      options.report.ifPresent(
          folder -> new ReportFiles(folder, options.profile, seed).write(reports));
      return conforms ? CONFORMS : DOES_NOT_CONFORM;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      Thread.currentThread().setContextClassLoader(before);
    }
  }

  private static URL url(Path path) {
    try {
      return path.toAbsolutePath().normalize().toUri().toURL();
    } catch (MalformedURLException e) {
      throw new IllegalArgumentException(path + ": cannot be read as a location", e);
    }
  }

  private static List<Plugin> discover(ClassLoader loader, List<URL> locations) {
    List<String> wanted = locations.stream().map(URL::toString).toList();
    return Plugins.discover(loader).list().stream()
        .filter(plugin -> wanted.isEmpty() || wanted.contains(plugin.location()) || isLost(plugin))
        .toList();
  }

  /** A provider that could not even be loaded has no location; it may be the jar's. */
  private static boolean isLost(Plugin plugin) {
    return plugin.location().isEmpty() && plugin.isFailed();
  }

  private static List<TestOutcome> test(
      Plugin plugin, Map<String, String> given, ClassLoader loader, Profile profile, long seed) {
    if (plugin.isFailed()) {
      return List.of();
    }
    PluginProvider provider;
    try {
      provider =
          Class.forName(plugin.className(), true, loader)
              .asSubclass(PluginProvider.class)
              .getConstructor()
              .newInstance();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(plugin.className() + ": was found, cannot be made", e);
    }
    var request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(
                plugin.isAvailable()
                    ? DiscoverySelectors.selectClass(ProviderUnderTest.suite(plugin.kind()))
                    : DiscoverySelectors.selectMethod(
                        ProviderUnderTest.suite(plugin.kind()), "required_V2_availabilityIsHonest"))
            .configurationParameter("lorikeet.conformance.seed", Long.toHexString(seed))
            .configurationParameter(
                "lorikeet.conformance.profile", profile.name().toLowerCase(Locale.ROOT))
            .build();
    return run(request, new ProviderUnderTest.Subject(provider, given));
  }

  private static List<TestOutcome> run(
      LauncherDiscoveryRequest request, ProviderUnderTest.Subject subject) {
    OutcomeListener listener = new OutcomeListener();
    LauncherConfig quiet =
        LauncherConfig.builder()
            .enableTestExecutionListenerAutoRegistration(false)
            .enableLauncherSessionListenerAutoRegistration(false)
            .enableLauncherDiscoveryListenerAutoRegistration(false)
            .enablePostDiscoveryFilterAutoRegistration(false)
            .build();
    ScopedValue.where(ProviderUnderTest.SUBJECT, subject)
        .run(() -> LauncherFactory.create(quiet).execute(request, listener));
    return listener.outcomes();
  }
}
