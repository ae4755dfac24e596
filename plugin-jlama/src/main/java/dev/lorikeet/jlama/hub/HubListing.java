package dev.lorikeet.jlama.hub;

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
  private static final String FILES = "siblings";
  private static final String PATH = "rfilename";
  private static final int MAX_FILES = 20_000;
  private static final long LARGEST_FILE = 1L << 50;
  private static final int LONGEST_PATH = 1024;
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?");

  /** Reads an answer. */
  static HubListing parse(String source, byte[] answer) {
    JsonFile json = JsonFile.parse(source, answer);
    String commit = json.text("sha").orElseThrow(() -> json.missing("sha", "a commit"));
    if (!COMMIT.matcher(commit).matches()) {
      throw Faults.MODEL.invalid(source + ": sha", "40 or 64 hexadecimal digits", commit);
    }
    List<RemoteFile> files = new ArrayList<>();
    Set<String> paths = new HashSet<>();
    for (JsonFile entry : json.objects(FILES, MAX_FILES)) {
      RemoteFile file = file(entry);
      if (!paths.add(file.path())) {
        throw Faults.MODEL.invalid(json.where(FILES), "each file once", file.path() + " twice");
      }
      files.add(file);
    }
    return new HubListing(source, commit, List.copyOf(files));
  }

  private static RemoteFile file(JsonFile entry) {
    String path = entry.text(PATH).orElse("");
    if (!staysInside(path)) {
      throw Faults.MODEL.invalid(
          entry.where(PATH), "a path inside the repository", "'" + path + "'");
    }
    JsonFile sized = entry.object("lfs").orElse(entry);
    return new RemoteFile(
        path,
        sized.bytes("size", LARGEST_FILE),
        sized == entry
            ? entry.text("blobId").flatMap(text -> Checksum.of(Checksum.Kind.GIT_SHA_1, text))
            : sized.text("sha256").flatMap(text -> Checksum.of(Checksum.Kind.SHA_256, text)));
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

  /** Returns a file by its path. */
  Optional<RemoteFile> file(String path) {
    return files.stream().filter(file -> file.path().equals(path)).findFirst();
  }
}
