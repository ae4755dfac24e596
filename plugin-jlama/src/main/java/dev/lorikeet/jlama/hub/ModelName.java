package dev.lorikeet.jlama.hub;

import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The name of a model or an adapter on the hub, {@code owner/name}, with {@code @revision} after it
 * where it is not the main branch: a branch, a tag or a commit. What does not have this form never
 * becomes part of a path or of a URL.
 *
 * @param owner a user or an organization
 * @param name the repository
 * @param revision a branch, tag or commit; empty for {@code main}
 */
public record ModelName(String owner, String name, Optional<String> revision) {
  static final String MAIN = "main";

  private static final Pattern TEXT = Pattern.compile("([^/@]*)/([^/@]*)(?:@(.*))?");
  private static final Pattern PART =
      Pattern.compile("[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?");
  private static final Pattern REVISION =
      Pattern.compile("[A-Za-z0-9_](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9_+-])?");

  /**
   * Checks the parts; a revision {@code main} is dropped.
   *
   * @throws IllegalArgumentException if a part could not be one of the hub's
   */
  public ModelName {
    check("owner", owner, PART);
    check("name", name, PART);
    revision.ifPresent(text -> check("revision", text, REVISION));
    revision = revision.filter(text -> !text.equals(MAIN));
  }

  private static void check(String what, String text, Pattern form) {
    if (!form.matcher(text).matches()
        || text.contains("..")
        || text.contains("//")
        || (text.contains("--") && form == PART)) {
      throw new IllegalArgumentException(
          what
              + ": expected letters, digits, '.', '-' and '_', as in owner/name or owner/name@revision, found '"
              + text
              + "'");
    }
  }

  /**
   * Reads {@code owner/name} or {@code owner/name@revision}.
   *
   * @throws IllegalArgumentException if the text has another form
   */
  public static ModelName parse(String text) {
    Matcher parts = TEXT.matcher(text);
    if (!parts.matches()) {
      throw new IllegalArgumentException(
          "expected owner/name or owner/name@revision, found '" + text + "'");
    }
    return new ModelName(part(parts, 1), part(parts, 2), Optional.ofNullable(parts.group(3)));
  }

  private static String part(Matcher parts, int group) {
    return Optional.ofNullable(parts.group(group)).orElse("");
  }

  /** Returns the name that a relative path spells, if it does. */
  public static Optional<ModelName> of(Path path) {
    if (path.isAbsolute() || path.getNameCount() < 2) {
      return Optional.empty();
    }
    StringBuilder text = new StringBuilder();
    path.forEach(part -> text.append(text.isEmpty() ? "" : "/").append(part));
    try {
      return Optional.of(parse(text.toString()));
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  /** Returns {@code owner/name}, without the revision. */
  String repository() {
    return owner + "/" + name;
  }

  /** Returns the revision to ask the hub for. */
  String revisionOrMain() {
    return revision.orElse(MAIN);
  }

  /** Returns the directory's name in Jlama's folder; Jlama itself knows the main branch only. */
  String folder() {
    return owner + "_" + name + revision.map(text -> "@" + text.replace("/", "%2F")).orElse("");
  }

  /** Returns {@code owner/name} or {@code owner/name@revision}. */
  @Override
  public String toString() {
    return repository() + revision.map(text -> "@" + text).orElse("");
  }
}
