package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.console.ExitCode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.logging.Level;
import java.util.logging.Logger;

/** A process that does all chores on a small disk, on which it leaves more or less room. */
final class Crowded {
  static final String DISK = "disk";

  /** How much more room there is at most than a chore takes. */
  private static final double MOST_ROOM = 1.5;

  private Crowded() {}

  /** Takes the folder, whose {@link #DISK} is the disk, the hub's address, a seed and how often. */
  public static void main(String[] args) throws IOException {
    Logger.getLogger("").setLevel(Level.SEVERE);
    Path root = Path.of(args[0]);
    Path disk = root.resolve(DISK);
    Files.createDirectories(Path.of(System.getProperty("java.io.tmpdir")));
    Random random = new Random(Long.parseLong(args[2]));
    List<Chore> chores = new Chores(root, disk, args[1]).all();
    for (Chore chore : chores) {
      assertEquals(ExitCode.OK, chore.run(0), chore.name());
      chore.checkClean();
    }
    Map<String, Integer> counts = new TreeMap<>();
    for (int turn = 1; turn <= Integer.parseInt(args[3]); turn++) {
      Chore chore = chores.get(random.nextInt(chores.size()));
      long room = (long) (random.nextDouble() * MOST_ROOM * chore.bytes());
      Path ballast = fill(disk, room);
      int exitCode = chore.run(turn);
      chore.checkWhole();
      Files.delete(ballast);
      assertTrue(
          exitCode == ExitCode.OK || exitCode == ExitCode.STORAGE,
          chore.name() + " with " + room + " bytes: exit code " + exitCode);
      counts.merge(
          chore.name() + (exitCode == ExitCode.OK ? " fits" : " is told"), 1, Integer::sum);
      assertEquals(ExitCode.OK, chore.run(turn + 1), chore.name() + " with room again");
      chore.checkClean();
    }
    assertEquals(List.of(), Chores.files(Path.of(System.getProperty("java.io.tmpdir"))));
    System.out.println("full: " + counts);
  }

  private static Path fill(Path disk, long room) throws IOException {
    Path ballast = disk.resolve("ballast");
    byte[] bytes = new byte[1 << 16];
    try (OutputStream out = Files.newOutputStream(ballast)) {
      for (long left = Files.getFileStore(disk).getUsableSpace() - room; left > 0; ) {
        int count = (int) Math.min(bytes.length, left);
        out.write(bytes, 0, count);
        left -= count;
      }
    }
    return ballast;
  }
}
