package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * A process that writes all kinds of files, opens a model and serves, over and over, until it is
 * killed. Before it begins it looks at what the one before has left, and does everything once,
 * which clears that away: then it says so.
 */
final class Victim {
  static final String WORKING = "working";
  private static final int REQUESTS = 4;

  private Victim() {}

  /** Does a chore until the process ends. */
  private interface Endless {
    void run(int turn) throws IOException;
  }

  /** Takes the folder, the hub's address, the first turn, and "once" to end by itself. */
  public static void main(String[] args) throws Exception {
    Logger.getLogger("").setLevel(Level.SEVERE);
    Path root = Path.of(args[0]);
    int first = Integer.parseInt(args[2]);
    List<Chore> chores = new Chores(root, root.resolve("work"), args[1]).all();
    List<Endless> endless = new ArrayList<>();
    for (Chore chore : chores) {
      endless.add(turn -> assertEquals(ExitCode.OK, chore.run(turn), chore.name()));
    }
    endless.add(turn -> serve(root, turn));
    CountDownLatch cleared = new CountDownLatch(endless.size());
    CountDownLatch looked = new CountDownLatch(1);
    for (int i = 0; i < endless.size(); i++) {
      Endless one = endless.get(i);
      Chore chore = i < chores.size() ? chores.get(i) : null;
      Thread.ofPlatform()
          .daemon()
          .start(
              () -> {
                try {
                  if (chore != null) {
                    chore.checkWhole();
                  }
                  one.run(first);
                  if (chore != null) {
                    chore.checkClean();
                  }
                  cleared.countDown();
                  looked.await();
                  for (int turn = first + 1; args.length < 4; turn++) {
                    one.run(turn);
                  }
                } catch (Exception | Error e) {
                  e.printStackTrace(System.out);
                  Runtime.getRuntime().halt(ExitCode.FAILURE);
                }
              });
    }
    cleared.await();
    checkTemporary();
    looked.countDown();
    System.out.println(WORKING);
    if (args.length < 4) {
      Thread.currentThread().join();
    }
  }

  /** Nothing of a process that was killed is left where temporary files are. */
  private static void checkTemporary() throws IOException {
    assertEquals(List.of(), Chores.files(Path.of(System.getProperty("java.io.tmpdir"))));
  }

  private static void serve(Path root, int turn) {
    Path in = root.resolve("in");
    try (Lorikeet lorikeet =
        Lorikeet.builder(in.resolve("model" + turn % 2))
            .poolBytes(16L << 20)
            .modelOption("threads", "1")
            .open()) {
      lorikeet.register("a", in.resolve("scripture"));
      List<Generation> running = new ArrayList<>();
      for (int i = 0; i < REQUESTS; i++) {
        GenerationRequest.Builder request = GenerationRequest.text("The sea").maxTokens(8);
        running.add(lorikeet.submit((i % 2 == 0 ? request.adapter("a") : request).build()));
      }
      running.forEach(Generation::await);
    }
  }
}
