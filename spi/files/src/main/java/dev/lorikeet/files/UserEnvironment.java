package dev.lorikeet.files;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;

/**
 * What environment variables and system properties say of the user's folders, as the Python package
 * huggingface_hub reads them. Immutable.
 *
 * @param variables the environment variables
 * @param properties the system properties
 */
public record UserEnvironment(Map<String, String> variables, Properties properties) {
  /** Returns that of this process. */
  public static UserEnvironment ofProcess() {
    return new UserEnvironment(System.getenv(), System.getProperties());
  }

  /** Returns a variable that is set and not blank. */
  public Optional<String> variable(String name) {
    return Optional.ofNullable(variables.get(name))
        .map(String::strip)
        .filter(text -> !text.isEmpty());
  }

  /** Returns the user's home directory. */
  public Path home() {
    return Path.of(properties.getProperty("user.home", ""));
  }

  /** Returns what a text means as a path: one that begins with a tilde is in the home directory. */
  public Path path(String text) {
    return text.equals("~") || text.startsWith("~/")
        ? home().resolve(text.substring(Math.min(2, text.length())))
        : Path.of(text);
  }

  /** Returns the folder of Hugging Face's files: {@code HF_HOME} or the one in the user's cache. */
  public Path huggingFaceHome() {
    return variable("HF_HOME")
        .map(this::path)
        .orElseGet(
            () ->
                variable("XDG_CACHE_HOME")
                    .map(this::path)
                    .orElseGet(() -> home().resolve(".cache"))
                    .resolve("huggingface"));
  }

  /** Returns the folder of what was downloaded from the hub. */
  public Path huggingFaceCache() {
    return variable("HF_HUB_CACHE")
        .or(() -> variable("HUGGINGFACE_HUB_CACHE"))
        .map(this::path)
        .orElseGet(() -> huggingFaceHome().resolve("hub"));
  }
}
