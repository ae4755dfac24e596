package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Processes that end at random moments, by SIGKILL, SIGTERM and SIGINT: they end as documented, no
 * file is half written, the next run succeeds and clears away what was left. {@code
 * -Dlorikeet.kills=500} makes it more of them, {@code -Dlorikeet.fuzz.seed=1} draws the same
 * moments again.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class KillTest {
  private static final int KILLS = Integer.getInteger("lorikeet.kills", 3);
  private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

  /** What ends a process. */
  private enum Signal {
    SIGKILL(9),
    SIGTERM(15),
    SIGINT(2);

    private final int number;

    Signal(int number) {
      this.number = number;
    }

    /** Whether the process is given time to put things in order. */
    boolean isGentle() {
      return this != SIGKILL;
    }

    int exitCode() {
      return 128 + number;
    }
  }

  /** How long a victim works at most, which is about as long as its longest chore takes. */
  private static final int WORKING_MILLIS = 600;

  /** How long a command runs at most before it is killed; most take as long. */
  private static final int COMMAND_MILLIS = 3000;

  /** More than a command needs to put things in order on a busy machine. */
  private static final int ENDING_SECONDS = 60;

  /** More than all chores take together, and little to fill. */
  private static final int DISK_MIB = 64;

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final List<Signal> signals = signals();
  private final Map<String, Integer> counts = new TreeMap<>();

  @TempDir Path root;
  private HttpServer hub;

  KillTest() throws IOException {
    hub = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
  }

  @BeforeEach
  void prepare() throws IOException {
    hub.createContext("/", this::answer);
    hub.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    hub.start();
    Files.createDirectories(root.resolve("tmp"));
    Files.createDirectories(root.resolve("work"));
    chores().prepare();
  }

  @AfterEach
  void stop() {
    hub.stop(0);
  }

  private String endpoint() {
    return "http://127.0.0.1:" + hub.getAddress().getPort();
  }

  private Chores chores() {
    return new Chores(root, root.resolve("work"), endpoint());
  }

  /** Every repository is there, and the same. */
  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      String path = exchange.getRequestURI().getPath();
      Path folder = root.resolve("in/scripture");
      byte[] bytes =
          path.startsWith("/api/")
              ? listing(folder)
              : Files.readAllBytes(folder.resolve(path.substring(path.lastIndexOf('/') + 1)));
      exchange.sendResponseHeaders(200, bytes.length);
      exchange.getResponseBody().write(bytes);
    } catch (IOException e) {
      return; // who asked was killed
    }
  }

  private static byte[] listing(Path folder) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode answer = json.createObjectNode().put("sha", COMMIT);
    ArrayNode siblings = answer.putArray("siblings");
    for (Path file : Chores.files(folder)) {
      siblings
          .addObject()
          .put("rfilename", file.getFileName().toString())
          .put("size", Files.size(file));
    }
    return json.writeValueAsBytes(answer);
  }

  private ProcessBuilder java(
      List<String> prefix, Path temporary, Class<?> program, List<String> args) {
    ProcessBuilder builder = ChildJvm.of(prefix, root, temporary, program, args);
    builder
        .environment()
        .putAll(
            Map.of(
                "HF_ENDPOINT",
                endpoint(),
                "JLAMA_MODEL_HOME",
                root.resolve("work/pull").toString(),
                "HF_HOME",
                root.resolve("work/hf").toString()));
    return builder;
  }

  private Process victim(int turn, String... more) throws IOException {
    List<String> args =
        new ArrayList<>(List.of(root.toString(), endpoint(), Integer.toString(turn)));
    args.addAll(List.of(more));
    return java(List.of(), root.resolve("tmp"), Victim.class, args).start();
  }

  @Test
  void whateverIsKilledLeavesOldOrNewAndTheNextRunIsClean() throws Exception {
    for (int kill = 0; kill < KILLS; kill++) {
      String told = "seed " + seed + ", kill " + kill;
      if (random.nextInt(2) == 0) {
        killCommand(kill, told);
      } else {
        killVictim(kill, told);
      }
      for (Chore chore : chores().all()) {
        try {
          chore.checkWhole();
        } catch (AssertionError e) {
          throw new AssertionError(told, e);
        }
      }
    }
    Process last = victim(KILLS, "once");
    assertEquals("", rest(last), "seed " + seed);
    assertEquals(0, last.waitFor(), "seed " + seed);
    System.out.println("killed, seed " + seed + ": " + counts);
  }

  @Test
  void aFullDiskIsToldAndLeavesOldOrNewAndTheNextRunIsClean() throws Exception {
    Path disk = Files.createDirectory(root.resolve(Crowded.DISK));
    Optional<List<String>> mounted = mounting(disk);
    assumeTrue(mounted.isPresent(), "no small disk can be mounted here (unshare, mount)");
    List<String> args =
        List.of(root.toString(), endpoint(), Long.toString(seed), Integer.toString(3 * KILLS));
    Process process = java(mounted.get(), disk.resolve("tmp"), Crowded.class, args).start();
    String said = rest(process);
    assertEquals(0, process.waitFor(), () -> "seed " + seed + ": " + said);
    System.out.println("seed " + seed + ": " + said);
  }

  /** Returns how a command is run with a small disk of its own, which ends with it. */
  private static Optional<List<String>> mounting(Path disk) throws Exception {
    String script = "mount -t tmpfs -o size=" + DISK_MIB + "m tmpfs '" + disk + "' && exec \"$@\"";
    for (String option : List.of("-m", "-rm")) {
      List<String> prefix = List.of("unshare", option, "sh", "-c", script, "sh");
      List<String> probe = new ArrayList<>(prefix);
      probe.add("true");
      try {
        if (new ProcessBuilder(probe).start().waitFor() == 0) {
          return Optional.of(prefix);
        }
      } catch (IOException e) {
        return Optional.empty(); // no such program
      }
    }
    return Optional.empty();
  }

  private Signal signal() {
    return signals.get(random.nextInt(signals.size()));
  }

  /** A process that was started in the background may ignore SIGINT, and so do its children. */
  private static List<Signal> signals() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
              .filter(line -> line.startsWith("SigIgn:"))
              .map(line -> Long.parseUnsignedLong(line.substring(7).strip(), 16))
              .anyMatch(ignored -> (ignored >> (Signal.SIGINT.number - 1) & 1) == 1)
          ? List.of(Signal.SIGKILL, Signal.SIGTERM)
          : List.of(Signal.values());
    } catch (IOException e) {
      return List.of(Signal.SIGKILL, Signal.SIGTERM); // nothing is known of it here
    }
  }

  private void killVictim(int turn, String told) throws Exception {
    Signal signal = signal();
    Process process = victim(turn);
    try (BufferedReader out = process.inputReader()) {
      List<String> said = new ArrayList<>();
      String line = out.readLine();
      for (; line != null && !line.equals(Victim.WORKING); line = out.readLine()) {
        said.add(line);
      }
      assertEquals(Victim.WORKING, line, () -> told + ": " + String.join("\n", said));
      process.waitFor(random.nextInt(WORKING_MILLIS), TimeUnit.MILLISECONDS);
      end(process, signal);
      out.lines().forEach(said::add);
      assertEquals(signal.exitCode(), process.waitFor(), () -> told + ": " + said);
      count("all at once", signal);
    } finally {
      process.destroyForcibly();
    }
  }

  private void killCommand(int turn, String told) throws Exception {
    List<Chore> commands = new ArrayList<>(chores().talks());
    chores().all().stream().filter(chore -> !chore.command(turn).isEmpty()).forEach(commands::add);
    Chore chore = commands.get(random.nextInt(commands.size()));
    Signal signal = signal();
    chore.begin();
    Path temporary = Files.createDirectories(root.resolve(signal.isGentle() ? "gentle" : "tmp"));
    Path output = root.resolve("command.log");
    Process process =
        java(List.of(), temporary, Main.class, chore.command(turn))
            .redirectOutput(output.toFile())
            .start();
    boolean ended = process.waitFor(random.nextInt(COMMAND_MILLIS), TimeUnit.MILLISECONDS);
    end(process, signal);
    boolean gone = process.waitFor(ENDING_SECONDS, TimeUnit.SECONDS);
    String what = told + ", " + chore.name() + ", " + signal + ": ";
    String said = Files.readString(output);
    process.destroyForcibly();
    assertTrue(gone, () -> what + "still runs: " + said);
    int exitCode = process.exitValue();
    assertTrue(
        ended ? exitCode == 0 : List.of(0, signal.exitCode()).contains(exitCode),
        () -> what + "exit code " + exitCode + ", " + said);
    assertFalse(said.contains("\tat "), () -> what + said);
    if (signal.isGentle()) {
      assertEquals(List.of(), Chores.files(temporary), () -> what + "temporary files");
    }
    count(ended ? chore.name() + " in time" : chore.name(), signal);
  }

  private static void end(Process process, Signal signal) throws Exception {
    List<ProcessHandle> children = process.descendants().toList();
    switch (signal) { // the process handle's methods leave the output to be read
      case SIGKILL -> process.toHandle().destroyForcibly();
      case SIGTERM -> process.toHandle().destroy();
      case SIGINT ->
          new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
    }
    assertEquals(List.of(), children, "processes left behind");
  }

  private void count(String what, Signal signal) {
    counts.merge(what + ", " + signal, 1, Integer::sum);
  }

  private static String rest(Process process) throws IOException {
    try (BufferedReader out = process.inputReader()) {
      return String.join(
          "\n",
          out.lines()
              .filter(line -> !line.equals(Victim.WORKING) && !line.startsWith("WARNING:"))
              .toList());
    }
  }
}
