package dev.lorikeet.jlama.hub;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The files of one commit of a repository, from the hub's untrusted answer: {@code {"sha": …,
 * "siblings": [{"rfilename": …, "size": …, "blobId": …, "lfs": {"size": …, "sha256": …}}]}}.
 *
 * @param source the URL, for messages
 * @param commit the commit, in hexadecimal digits
 * @param files all its files
 */
record HubListing(String source, String commit, List<RemoteFile> files) {
  private static final int MAX_FILES = 20_000;
  private static final long LARGEST_FILE = 1L << 50;
  private static final int LONGEST_PATH = 1024;
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?");

  /** Reads an answer. */
  static HubListing parse(String source, byte[] answer) {
    JsonFile json = JsonFile.parse(source, answer);
    String commit = json.text("sha").orElseThrow(() -> json.missing("sha", "a commit"));
    if (!COMMIT.matcher(commit).matches()) {
      throw Faults.MODEL.invalid(source + ": sha", "40 or 64 hexadecimal digits", visible(commit));
    }
    String key = "siblings";
    JsonNode list = json.node(key).orElseThrow(() -> json.missing(key, "a list of files"));
    if (!list.isArray() || list.size() > MAX_FILES) {
      throw json.wrong(key, list, "a list of at most " + MAX_FILES + " files");
    }
    List<RemoteFile> files = new ArrayList<>();
    Set<String> paths = new HashSet<>();
    for (JsonNode entry : list) {
      RemoteFile file = file(source + ": " + key + "[" + files.size() + "]", entry);
      if (!paths.add(file.path())) {
        throw Faults.MODEL.invalid(source + ": " + key, "each file once", file.path() + " twice");
      }
      files.add(file);
    }
    return new HubListing(source, commit, List.copyOf(files));
  }

  private static RemoteFile file(String where, JsonNode entry) {
    String path = entry.path("rfilename").asText("");
    if (!staysInside(path)) {
      throw Faults.MODEL.invalid(
          where + ": rfilename", "a path inside the repository", visible(path));
    }
    JsonNode lfs = entry.path("lfs");
    if (lfs.isObject()) {
      return new RemoteFile(
          path, size(where, lfs), checksum(Checksum.Kind.SHA_256, lfs.path("sha256")));
    }
    return new RemoteFile(
        path, size(where, entry), checksum(Checksum.Kind.GIT_SHA_1, entry.path("blobId")));
  }

  private static Optional<Checksum> checksum(Checksum.Kind kind, JsonNode value) {
    return Checksum.of(kind, value.asText(""));
  }

  private static long size(String where, JsonNode entry) {
    JsonNode size = entry.path("size");
    if (!size.isIntegralNumber()
        || !size.canConvertToLong()
        || size.longValue() < 0
        || size.longValue() > LARGEST_FILE) {
      throw Faults.MODEL.invalid(
          where + ": size", "a number of bytes", size.isMissingNode() ? "nothing" : size);
    }
    return size.longValue();
  }

  private static boolean staysInside(String path) {
    if (path.isEmpty() || path.length() > LONGEST_PATH) {
      return false;
    }
    if (path.chars().anyMatch(c -> c < ' ' || c == 0x7f || c == '\\' || c == ':')) {
      return false;
    }
    for (String part : path.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        return false;
      }
    }
    return true;
  }

  /** Shows what could not be printed, or would change what is printed around it. */
  private static String visible(String text) {
    StringBuilder shown = new StringBuilder("'");
    text.chars()
        .limit(LONGEST_PATH)
        .forEach(
            c ->
                shown.append(
                    c < ' ' || c > '~' ? String.format("\\u%04x", c) : String.valueOf((char) c)));
    return shown.append("'").toString();
  }

  /** Returns a file by its path. */
  Optional<RemoteFile> file(String path) {
    return files.stream().filter(file -> file.path().equals(path)).findFirst();
  }
}
