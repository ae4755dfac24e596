package dev.lorikeet.tiny;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * A Llama model of 5.2 M parameters in Hugging Face layout, four PEFT adapters for it, and what
 * PyTorch computes with them. They are resources of this library; {@link #extract(Path)} writes
 * them to a directory, because models are opened from files.
 *
 * <p>Extraction may run in several threads and processes at once, on one directory. A file that is
 * there with the right SHA-256 is kept, so that only the first call writes; what a process left
 * that was killed, the next one clears away. The user owns the directory.
 */
public final class TinyModel {
  private static final String RESOURCES = "/META-INF/lorikeet/tiny-model/";
  private static final String ADAPTERS = "adapters/";
  private static final String LOCK = ".lock";

  private final Path directory;
  private final List<String> adapterNames;

  private TinyModel(Path directory, List<String> adapterNames) {
    this.directory = directory;
    this.adapterNames = adapterNames;
  }

  /**
   * Extracts into {@code .cache/lorikeet} of the user's home directory, or, where that can't be
   * written, into a new temporary directory, which is deleted when this JVM ends.
   *
   * @throws UncheckedIOException if neither can be written
   */
  public static TinyModel extract() {
    Map<String, String> index = index();
    String version = sha256(RESOURCES + "index.sha256").substring(0, 12);
    Path home = Path.of(System.getProperty("user.home", ""));
    Path cache = home.resolve(".cache", "lorikeet", "tiny-model-" + version);
    try {
      return extract(cache, index);
    } catch (IOException e) {
      try {
        Path temporary = Files.createTempDirectory("lorikeet-tiny-model-");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(temporary)));
        return extract(temporary, index);
      } catch (IOException second) {
        second.addSuppressed(e);
        throw new UncheckedIOException(second);
      }
    }
  }

  /** Deletes a directory as far as it can be. */
  private static void delete(Path directory) {
    try (Stream<Path> files = Files.walk(directory)) {
      files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
    } catch (IOException | UncheckedIOException e) {
      return; // the system clears its temporary files in the end
    }
  }

  /**
   * Extracts into a directory, which is made if it does not exist.
   *
   * @throws UncheckedIOException if a file can't be written
   */
  public static TinyModel extract(Path directory) {
    try {
      return extract(directory, index());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static TinyModel extract(Path directory, Map<String, String> index) throws IOException {
    Path root = directory.toAbsolutePath().normalize();
    if (!isThere(root, index)) {
      Files.createDirectories(root);
      synchronized (TinyModel.class) { // a lock of a file keeps out other processes alone
        try (FileChannel channel =
                FileChannel.open(
                    root.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock lock = channel.lock()) {
          write(root, index);
        }
      }
    }
    List<String> adapters =
        index.keySet().stream()
            .filter(name -> name.startsWith(ADAPTERS))
            .map(name -> name.substring(ADAPTERS.length(), name.lastIndexOf('/')))
            .distinct()
            .toList();
    return new TinyModel(root, adapters);
  }

  private static boolean isThere(Path root, Map<String, String> index) throws IOException {
    for (Map.Entry<String, String> entry : index.entrySet()) {
      if (!isThere(root.resolve(entry.getKey()), entry.getValue())) {
        return false;
      }
    }
    return true;
  }

  /** Nobody else writes now, so parts of files are what a killed process has left. */
  private static void write(Path root, Map<String, String> index) throws IOException {
    for (Map.Entry<String, String> entry : index.entrySet()) {
      Path file = root.resolve(entry.getKey());
      Path part = file.resolveSibling(file.getFileName() + ".part");
      Files.deleteIfExists(part);
      if (!isThere(file, entry.getValue())) {
        write(file, part, entry.getKey(), entry.getValue());
      }
    }
  }

  private static boolean isThere(Path file, String sha256) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(file)) {
      return sha256(in).equals(sha256);
    }
  }

  // Readers see the whole file or none: it is written beside its place and then moved there.
  private static void write(Path file, Path part, String name, String expected) throws IOException {
    Files.createDirectories(Objects.requireNonNull(file.getParent()));
    try {
      String found;
      try (DigestInputStream in = new DigestInputStream(open(RESOURCES + name), digest())) {
        Files.copy(in, part);
        found = HexFormat.of().formatHex(in.getMessageDigest().digest());
      }
      if (!found.equals(expected)) {
        throw new IllegalStateException(
            "resource " + name + ": expected SHA-256 " + expected + ", found " + found);
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(part);
    }
  }

  /**
   * Returns the files by relative path, sorted, each with its SHA-256 in lower-case hexadecimal.
   */
  private static Map<String, String> index() {
    Map<String, String> index = new TreeMap<>();
    try (InputStream in = open(RESOURCES + "index.sha256")) {
      for (String line : new String(in.readAllBytes(), UTF_8).lines().toList()) {
        index.put(line.substring(66), line.substring(0, 64));
      }
      return index;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static InputStream open(String resource) throws IOException {
    InputStream in = TinyModel.class.getResourceAsStream(resource);
    if (in == null) {
      throw new IOException("resource " + resource + " is missing from this library");
    }
    return in;
  }

  private static String sha256(String resource) {
    try (InputStream in = open(resource)) {
      return sha256(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String sha256(InputStream in) throws IOException {
    MessageDigest digest = digest();
    byte[] buffer = new byte[1 << 16];
    for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
      digest.update(buffer, 0, n);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest digest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Returns the directory of the base model, in Hugging Face layout. */
  public Path base() {
    return directory.resolve("base");
  }

  /** Returns the names of the adapters, sorted. */
  public List<String> adapterNames() {
    return adapterNames;
  }

  /** Returns the directory of an adapter, in PEFT layout. */
  public Path adapter(String name) {
    if (!adapterNames.contains(name)) {
      throw new IllegalArgumentException(
          "adapter: expected one of " + adapterNames + ", found '" + name + "'");
    }
    return directory.resolve(ADAPTERS + name);
  }

  /** Returns a text of an adapter's kind that the adapter was trained on: a passage a line. */
  public Path trainingText(String name) {
    return text("train", name);
  }

  /**
   * Returns a text of an adapter's kind that neither base nor adapter has seen: a passage a line.
   */
  public Path heldOutText(String name) {
    return text("held-out", name);
  }

  private Path text(String part, String name) {
    adapter(name); // checks the name
    return directory.resolve("texts").resolve(part).resolve(name + ".txt");
  }

  /**
   * Returns the directory of a trained gate over the adapters, for the router {@code gate} of
   * lorikeet-plugin-jlama. It decides once per token, before the first layer.
   */
  public Path gate() {
    return directory.resolve("router");
  }

  /** Returns the directory of another such gate, which decides anew at every layer. */
  public Path layerGate() {
    return directory.resolve("layer-router");
  }

  /**
   * Returns the reference outputs: a JSON list of {@code prompt}, {@code prompt_ids}, {@code
   * adapter} (null for the base), {@code last_logits}, {@code greedy_ids} and {@code greedy_text}.
   */
  public Path reference() {
    return directory.resolve("reference.json");
  }
}
