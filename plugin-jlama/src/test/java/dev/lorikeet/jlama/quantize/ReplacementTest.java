package dev.lorikeet.jlama.quantize;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Directories that take the place of others, and what a kill between two moves leaves. */
class ReplacementTest {
  @TempDir Path directory;
  private Path place;
  private Path made;
  private Replacement replacement;

  @BeforeEach
  void make() throws IOException {
    place = write("model", "old");
    made = write("work", "new");
    replacement = new Replacement(place);
  }

  private Path write(String name, String content) throws IOException {
    Path folder = Files.createDirectories(directory.resolve(name));
    Files.writeString(folder.resolve("config.json"), content);
    return folder;
  }

  private String found() throws IOException {
    return Files.readString(place.resolve("config.json"));
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void theNewOneIsThereAndTheOldOneWhereItWasMadeOrGone() throws IOException {
    replacement.by(made);
    assertEquals("new", found());
    if (Files.exists(made)) {
      assertEquals("old", Files.readString(made.resolve("config.json")));
    }
  }

  @Test
  void nothingIsReplacedByAMove() throws IOException {
    Path other = directory.resolve("other");
    new Replacement(other).by(made);
    assertEquals(List.of("model", "other"), names());
  }

  @Test
  void twoMovesLeaveTheNewOneAlone() throws IOException {
    replacement.byTwoMoves(made);
    assertEquals("new", found());
    assertEquals(List.of("model"), names());
  }

  @Test
  void aKillBetweenTwoMovesIsMended() throws IOException {
    Files.move(place, directory.resolve(".lorikeet-replaced-model"));
    replacement.recover();
    assertEquals("old", found());
    assertEquals(List.of("model", "work"), names());
  }

  @Test
  void whatAKillAfterBothMovesLeavesIsClearedAway() throws IOException {
    Files.move(place, directory.resolve(".lorikeet-replaced-model"));
    Files.move(made, place);
    replacement.recover();
    assertEquals("new", found());
    assertEquals(List.of("model"), names());
  }
}
