package dev.lorikeet.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MappedFilesTest {
  private static final long PAUSE = 100_000_000;

  @TempDir Path directory;
  private Path first;
  private Path second;
  private long now;
  private MappedFiles files = MappedFiles.none();

  @BeforeEach
  void write() throws IOException {
    first = Files.writeString(directory.resolve("first"), "abc");
    second = Files.writeString(directory.resolve("second"), "abc");
    for (Path file : List.of(first, second)) {
      Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000));
    }
    Path link = Files.createSymbolicLink(directory.resolve("link"), second);
    files = MappedFiles.watch(Faults.MODEL, List.of(first, link), () -> now);
    files.check();
    now += PAUSE;
  }

  @AfterEach
  void close() {
    files.close();
  }

  private void assertChanged(String name, String found) {
    var error = assertThrows(LorikeetException.class, files::check);
    assertEquals(Code.MODEL_INVALID, error.code());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith(directory.resolve(name) + ": expected "), message);
    assertTrue(message.contains(found) && message.contains("weights=copied"), message);
    assertThrows(LorikeetException.class, files::check, "still");
  }

  @Test
  void aFileThatWasCutIsNamed() throws IOException {
    try (FileChannel channel = FileChannel.open(first, StandardOpenOption.WRITE)) {
      channel.truncate(1);
    }
    assertChanged("first", "found 1 bytes");
  }

  @Test
  void aFileThatWasOverwrittenInPlaceIsNamedByTheLinkThatLeadsToIt() throws IOException {
    Files.writeString(second, "xyz");
    assertChanged("link", "found 3 bytes, changed at");
  }

  @Test
  void filesMayBeReplacedByRenamingAndDeleted() throws IOException {
    Path other = Files.writeString(directory.resolve("other"), "another");
    Files.move(other, first, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    files.check();
    Files.delete(second);
    files.check();
  }

  @Test
  void timesAreLookedAtNowAndThenAndSizesAlways() throws IOException {
    files.check();
    Files.writeString(first, "abd");
    now += PAUSE - 1;
    files.check();
    now += 1;
    assertThrows(LorikeetException.class, files::check);
    assertThrows(LorikeetException.class, files::checkNowAndThen);
    Files.writeString(second, "changed");
    assertThrows(LorikeetException.class, files::check);
  }

  @Test
  void anAdapterHasACodeOfItsOwn() throws IOException {
    files.close();
    files = MappedFiles.watch(Faults.ADAPTER, List.of(first), () -> now);
    Files.writeString(first, "changed");
    var error = assertThrows(LorikeetException.class, files::check);
    assertEquals(Code.ADAPTER_INVALID, error.code());
  }
}
