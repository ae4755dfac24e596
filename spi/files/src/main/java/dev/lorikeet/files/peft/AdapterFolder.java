package dev.lorikeet.files.peft;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.text.TextFolder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The folder of an adapter, from which only regular files are read, and only those that really lie
 * in it. Symbolic links are resolved first: one that leaves the folder is refused, unless it leads
 * where the operator trusts ({@link TrustedLinks}), or from {@code
 * models--NAME/snapshots/REVISION}, as Hugging Face's caches have it, into {@code
 * models--NAME/blobs} of the same model. The folder itself was named by the application and may be
 * a link.
 */
final class AdapterFolder implements TextFolder {
  private final Path folder;
  private final Optional<Path> blobs;
  private final TrustedLinks trusted;

  private AdapterFolder(Path folder, TrustedLinks trusted) {
    this.folder = folder;
    this.blobs = blobsOf(folder);
    this.trusted = trusted;
  }

  static AdapterFolder of(Path path, TrustedLinks trusted) {
    try {
      Path real = path.toRealPath();
      if (!Files.isDirectory(real)) {
        throw Faults.ADAPTER.refuse(
            path, "expected a directory with adapter_config.json, found a file");
      }
      return new AdapterFolder(real, trusted);
    } catch (NoSuchFileException e) {
      throw Faults.ADAPTER.refuse(path, "expected an adapter directory, found nothing there", e);
    } catch (IOException | InvalidPathException | SecurityException e) {
      throw Faults.ADAPTER.refuse(path, "expected a readable adapter directory, found: " + e, e);
    }
  }

  private static Optional<Path> blobsOf(Path folder) {
    for (Path at = folder; at != null; at = at.getParent()) {
      Path parent = at.getParent();
      Path model = parent == null ? null : parent.getParent();
      if (parent != null
          && model != null
          && named(parent).equals("snapshots")
          && named(model).startsWith("models--")) {
        return Optional.of(model.resolve("blobs"));
      }
    }
    return Optional.empty();
  }

  private static String named(Path path) {
    Path name = path.getFileName();
    return name == null ? "" : name.toString();
  }

  @Override
  public Faults faults() {
    return Faults.ADAPTER;
  }

  @Override
  public Path path(String name) {
    return folder.resolve(name);
  }

  /** Returns whether there is anything of that name, even a broken link. */
  @Override
  public boolean has(String name) {
    return Files.exists(path(name), LinkOption.NOFOLLOW_LINKS);
  }

  /** Opens a file of this folder for reading. */
  FileChannel open(String name) {
    Path file = path(name);
    try {
      Path real = file.toRealPath();
      if (!isAllowed(real)) {
        throw Faults.ADAPTER.refuse(
            file,
            "expected a file within its folder, found a link to "
                + Faults.show(real.toString())
                + TrustedLinks.how());
      }
      return UntrustedFile.open(Faults.ADAPTER, file, real);
    } catch (NoSuchFileException e) {
      throw Faults.ADAPTER.refuse(
          file,
          has(name) ? "expected a file, found a broken link" : "expected a file, found none",
          e);
    } catch (IOException | SecurityException e) {
      throw Faults.ADAPTER.refuse(file, "expected a readable file, found: " + e, e);
    }
  }

  private boolean isAllowed(Path real) {
    return real.startsWith(folder)
        || (blobs.isPresent() && real.startsWith(blobs.get()))
        || trusted.mayLeadTo(real);
  }

  /** Returns the stamp of a file that {@link #open} has opened. */
  FileStamp stamp(String name) throws IOException {
    return FileStamp.of(path(name).toRealPath());
  }

  @Override
  public ByteBuffer read(String name, int limit) {
    Path file = path(name);
    try (FileChannel channel = open(name)) {
      long size = channel.size();
      if (size > limit) {
        throw Faults.ADAPTER.refuse(file, "expected at most " + limit + " bytes, found " + size);
      }
      ByteBuffer bytes = ByteBuffer.allocate((int) size);
      UntrustedFile.readFully(Faults.ADAPTER, file, channel, bytes, 0);
      return bytes.flip();
    } catch (IOException e) {
      throw Faults.ADAPTER.refuse(file, "expected a readable file, found: " + e, e);
    }
  }
}
