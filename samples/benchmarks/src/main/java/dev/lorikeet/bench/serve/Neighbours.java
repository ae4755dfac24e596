package dev.lorikeet.bench.serve;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Processes that want a processor all the time, beside what is measured. */
final class Neighbours implements AutoCloseable {
  private final List<Process> processes = new ArrayList<>();

  /** Starts so many, and waits until each runs. */
  static Neighbours start(int count) throws IOException {
    Neighbours neighbours = new Neighbours();
    try {
      for (int i = 0; i < count; i++) {
        neighbours.processes.add(
            new ProcessBuilder(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx16m",
                    "-XX:+UseSerialGC",
                    "-cp",
                    System.getProperty("java.class.path"),
                    Neighbours.class.getName())
                .start());
      }
      for (Process process : neighbours.processes) {
        if (process.getInputStream().read() < 0) {
          throw new IOException("a busy process did not start");
        }
      }
      return neighbours;
    } catch (IOException e) {
      neighbours.close();
      throw e;
    }
  }

  /** Is busy until its input ends. */
  public static void main(String[] args) throws IOException {
    var ended = CompletableFuture.runAsync(Neighbours::awaitEnd);
    System.out.write('.');
    System.out.flush();
    long sum = 0;
    while (!ended.isDone()) {
      for (int i = 0; i < 10_000_000; i++) {
        sum = sum * 31 + i;
      }
    }
    System.exit(sum == 42 ? 1 : 0); // the sum is used, so that it is computed
  }

  private static void awaitEnd() {
    try {
      while (System.in.read() >= 0) {
        // says nothing of interest
      }
    } catch (IOException e) {
      // as good as the end
    }
  }

  @Override
  public void close() {
    processes.forEach(Process::destroyForcibly);
    processes.forEach(process -> process.onExit().join());
  }
}
