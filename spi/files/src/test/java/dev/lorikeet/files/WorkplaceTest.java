package dev.lorikeet.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Places to work in, and what becomes of those whose processes were killed. */
@Timeout(120)
class WorkplaceTest {
  @TempDir Path folder;

  /** Works in a folder until it is killed. */
  static final class Worker {
    private Worker() {}

    public static void main(String[] args) throws Exception {
      Workplace workplace = Workplace.in(Path.of(args[0]));
      Files.writeString(workplace.path("half"), "half");
      System.out.println(workplace.path("half"));
      System.in.read();
    }
  }

  private Process work() throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            Worker.class.getName(),
            folder.toString())
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  private List<Path> found() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  @Test
  void nothingIsLeftOfAPlaceThatWasClosed() throws IOException {
    try (Workplace workplace = Workplace.in(folder)) {
      Files.createDirectory(workplace.path("in"));
      Files.writeString(workplace.path("in/a"), "a");
      Files.move(workplace.path("in/a"), folder.resolve("a"));
      Files.writeString(workplace.path("b"), "b");
    }
    assertEquals(List.of(folder.resolve("a")), found());
  }

  @Test
  void whatAKilledProcessLeavesIsClearedAwayAndWhatALiveOneHasIsNot() throws Exception {
    Process killed = work();
    Process alive = work();
    try (var first = killed.inputReader();
        var second = alive.inputReader()) {
      Path left = Path.of(first.readLine());
      Path used = Path.of(second.readLine());
      killed.destroyForcibly();
      assertTrue(killed.waitFor(60, TimeUnit.SECONDS));
      assertTrue(Files.exists(left));
      try (Workplace workplace = Workplace.in(folder);
          Workplace another = Workplace.in(folder)) {
        assertFalse(Files.exists(left), "what the killed process left");
        assertFalse(Files.exists(left.getParent()), "where it worked");
        assertTrue(Files.exists(used), "what the other works on");
        Files.writeString(workplace.path("x"), "of this process");
        Files.writeString(another.path("x"), "of this process");
      }
      assertEquals(List.of(used.getParent()), found());
    } finally {
      killed.destroyForcibly();
      alive.destroyForcibly();
      alive.waitFor();
    }
  }

  @Test
  void otherFilesAreLeftAlone() throws IOException {
    Path file = Files.writeString(folder.resolve(".lorikeet-work-file"), "not a folder");
    Path other = Files.createDirectory(folder.resolve(".lorikeet-work-other"));
    Files.writeString(other.resolve("precious"), "without a lock");
    Path elsewhere = Files.createDirectory(folder.resolve("elsewhere"));
    Files.writeString(elsewhere.resolve("lock"), "");
    Path link = Files.createSymbolicLink(folder.resolve(".lorikeet-work-link"), elsewhere);
    Workplace.in(folder).close();
    assertEquals(List.of(file, link, other, elsewhere), found());
    assertTrue(Files.exists(other.resolve("precious")));
    assertTrue(Files.exists(elsewhere.resolve("lock")));
  }

  @Test
  void threadsMayWorkInOneFolder() throws Exception {
    List<Thread> threads =
        Stream.generate(
                () ->
                    Thread.ofPlatform()
                        .unstarted(
                            () -> {
                              try {
                                for (int i = 0; i < 50; i++) {
                                  try (Workplace workplace = Workplace.in(folder)) {
                                    Files.writeString(workplace.path("x"), "x");
                                  }
                                }
                              } catch (IOException e) {
                                throw new AssertionError(e);
                              }
                            }))
            .limit(4)
            .toList();
    List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
    threads.forEach(t -> t.setUncaughtExceptionHandler((thread, e) -> failures.add(e)));
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(List.of(), failures);
    assertEquals(List.of(), found());
  }
}
