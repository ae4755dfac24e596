package dev.lorikeet.files;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SecureDirectoryStream;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import org.jspecify.annotations.Nullable;

/**
 * An open folder whose entries are deleted, folders with all that is in them. Where the system can,
 * each is reached from the open folder around it, so that a link that somebody puts into its place
 * is deleted itself and never followed. For one thread.
 */
final class FolderEntries implements AutoCloseable {
  private final Path folder;
  private final DirectoryStream<Path> stream;

  private FolderEntries(Path folder, DirectoryStream<Path> stream) {
    this.folder = folder;
    this.stream = stream;
  }

  @SuppressWarnings("StreamResourceLeak") // closed with what is returned
  static FolderEntries of(Path folder) throws IOException {
    return new FolderEntries(folder, Files.newDirectoryStream(folder));
  }

  /**
   * Deletes an entry.
   *
   * @param name its name, which is a path of one element
   */
  void delete(Path name) throws IOException {
    if (stream instanceof SecureDirectoryStream<Path> secure) {
      delete(secure, name);
    } else {
      deleteByPath(folder.resolve(name));
    }
  }

  private static void delete(SecureDirectoryStream<Path> around, Path name) throws IOException {
    BasicFileAttributes attributes =
        around
            .getFileAttributeView(name, BasicFileAttributeView.class, LinkOption.NOFOLLOW_LINKS)
            .readAttributes();
    if (!attributes.isDirectory()) {
      around.deleteFile(name);
      return;
    }
    try (SecureDirectoryStream<Path> inside =
        around.newDirectoryStream(name, LinkOption.NOFOLLOW_LINKS)) {
      for (Path entry : inside) {
        delete(inside, entry.getFileName());
      }
    }
    around.deleteDirectory(name);
  }

  private static void deleteByPath(Path root) throws IOException {
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.delete(directory);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  @Override
  public void close() throws IOException {
    stream.close();
  }
}
