package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.UserEnvironment;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;

/**
 * What environment variables and system properties say about folders, endpoint and token: the ones
 * that Jlama and the Python package huggingface_hub read.
 *
 * @param variables the environment variables
 * @param properties the system properties
 */
record HubEnvironment(Map<String, String> variables, Properties properties) {
  static final String PUBLIC_HUB = "https://huggingface.co";
  private static final Set<String> YES = Set.of("1", "on", "yes", "true");
  private static final int MAX_TOKEN_BYTES = 4096;

  static HubEnvironment system() {
    return new HubEnvironment(System.getenv(), System.getProperties());
  }

  /**
   * Returns the folders of Jlama's models, the one to download into first: the one that is set, or
   * the home directory's and, as Jlama 0.8 has it, the working directory's.
   */
  List<Path> jlamaFolders() {
    return variable("JLAMA_MODEL_HOME")
        .or(() -> property("jlama.model.home"))
        .map(this::path)
        .map(List::of)
        .orElseGet(() -> List.of(home().resolve(".jlama", "models"), Path.of("models")));
  }

  Path huggingFaceCache() {
    return user().huggingFaceCache();
  }

  private UserEnvironment user() {
    return new UserEnvironment(variables, properties);
  }

  URI endpoint() {
    String text = variable("HF_ENDPOINT").orElse(PUBLIC_HUB);
    try {
      return URI.create(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("HF_ENDPOINT: expected a URL, found '" + text + "'", e);
    }
  }

  /** Returns the access token: from a variable, Jlama's property or the file of a login. */
  Optional<String> token() {
    return variable("HF_TOKEN")
        .or(() -> variable("HUGGING_FACE_HUB_TOKEN"))
        .or(() -> property("huggingface.auth.token"))
        .or(this::storedToken);
  }

  private Optional<String> storedToken() {
    Path file =
        variable("HF_TOKEN_PATH")
            .map(this::path)
            .orElseGet(() -> user().huggingFaceHome().resolve("token"));
    try {
      if (Files.isRegularFile(file) && Files.size(file) <= MAX_TOKEN_BYTES) {
        return Optional.of(Files.readString(file).strip()).filter(text -> !text.isEmpty());
      }
      return Optional.empty();
    } catch (IOException e) {
      return Optional
          .empty(); // Public repositories need none; for others the hub's answer says so.
    }
  }

  boolean offline() {
    return variable("HF_HUB_OFFLINE")
        .map(text -> YES.contains(text.toLowerCase(Locale.ROOT)))
        .orElse(false);
  }

  private Optional<String> variable(String name) {
    return user().variable(name);
  }

  private Optional<String> property(String name) {
    return Optional.ofNullable(properties.getProperty(name))
        .map(String::strip)
        .filter(text -> !text.isEmpty());
  }

  private Path home() {
    return user().home();
  }

  private Path path(String text) {
    return user().path(text);
  }
}
