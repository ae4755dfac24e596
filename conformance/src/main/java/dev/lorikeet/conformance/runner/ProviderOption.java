package dev.lorikeet.conformance.runner;

import dev.lorikeet.Plugin;
import dev.lorikeet.PluginKind;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * An option that a provider is to be tested with.
 *
 * @param kind the provider's kind
 * @param provider the provider's name
 * @param key the option's name
 * @param value the option's value
 */
public record ProviderOption(PluginKind kind, String provider, String key, String value) {
  private static final Pattern FORM = Pattern.compile("([^/]*)/([^.=]+)\\.([^=]+)=(.*)");

  /**
   * Reads {@code KIND/NAME.KEY=VALUE}; the kind is {@code pool}, {@code store}, {@code executor},
   * {@code router} or {@code model}.
   *
   * @throws IllegalArgumentException if it is of another form; the message says which was expected
   */
  public static ProviderOption parse(String text) {
    Matcher form = FORM.matcher(text);
    if (!form.matches()) {
      throw new IllegalArgumentException(
          "--option: expected KIND/NAME.KEY=VALUE, found '" + text + "'");
    }
    PluginKind kind =
        kind(form.group(1))
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "--option: expected the kind "
                            + kinds()
                            + ", found '"
                            + form.group(1)
                            + "' in '"
                            + text
                            + "'"));
    return new ProviderOption(kind, form.group(2), form.group(3), form.group(4));
  }

  private static Optional<PluginKind> kind(String word) {
    return Arrays.stream(PluginKind.values()).filter(k -> word(k).equals(word)).findFirst();
  }

  private static String kinds() {
    return Arrays.stream(PluginKind.values())
        .map(ProviderOption::word)
        .collect(Collectors.joining(", "));
  }

  private static String word(PluginKind kind) {
    return switch (kind) {
      case PAGE_POOL -> "pool";
      case ADAPTER_STORE -> "store";
      case LORA_EXECUTOR -> "executor";
      case ROUTER -> "router";
      case BASE_MODEL -> "model";
    };
  }

  /** Returns how a provider is named in an option: {@code router/uniform}. */
  static String address(Plugin plugin) {
    return word(plugin.kind()) + "/" + plugin.name();
  }

  private boolean isFor(Plugin plugin) {
    return plugin.kind() == kind && plugin.name().equals(provider);
  }

  /** Returns the options among these that are for a provider, by key. */
  static Map<String, String> of(Plugin plugin, List<ProviderOption> options) {
    Map<String, String> map = new LinkedHashMap<>();
    options.stream().filter(o -> o.isFor(plugin)).forEach(o -> map.put(o.key, o.value));
    return map;
  }

  /**
   * Checks that each option is for a provider that was found, and given once.
   *
   * @throws IllegalArgumentException that names the first of which this is not true
   */
  static void check(List<ProviderOption> options, List<Plugin> found) {
    for (ProviderOption option : options) {
      if (found.stream().noneMatch(option::isFor)) {
        throw new IllegalArgumentException(
            "--option "
                + option
                + ": no such provider; found "
                + found.stream().map(ProviderOption::address).collect(Collectors.joining(", ")));
      }
      if (options.stream().filter(option::sameAs).count() > 1) {
        throw new IllegalArgumentException("--option " + option + ": given more than once");
      }
    }
  }

  private boolean sameAs(ProviderOption other) {
    return kind == other.kind && provider.equals(other.provider) && key.equals(other.key);
  }

  @Override
  public String toString() {
    return word(kind) + "/" + provider + "." + key + "=" + value;
  }
}
