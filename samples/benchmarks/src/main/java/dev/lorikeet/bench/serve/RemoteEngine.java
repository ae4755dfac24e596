package dev.lorikeet.bench.serve;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.bench.serve.EngineProcess.Answer;
import dev.lorikeet.bench.serve.EngineProcess.Opening;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A contender in a child process; used by one thread. */
final class RemoteEngine implements AutoCloseable {
  private static final long EXIT_SECONDS = 20;

  private final ObjectMapper mapper = new ObjectMapper();
  private final Contender contender;
  private final Process process;
  private final BufferedReader in;
  private final BufferedWriter out;
  private String title = "";
  private long residentBytes;

  private RemoteEngine(Contender contender, Process process) {
    this.contender = contender;
    this.process = process;
    this.in = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    this.out = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), UTF_8));
  }

  /**
   * Starts a contender on the JVM and class path of this process.
   *
   * @param log where its error output goes
   * @throws NotAvailable if it does not open here
   */
  static RemoteEngine start(
      Contender contender, Map<String, String> settings, Inputs inputs, Path log)
      throws IOException, NotAvailable {
    return start(contender, settings, inputs, log, List.of());
  }

  /**
   * Starts a contender by way of another command.
   *
   * @param prefix the words before its own
   */
  static RemoteEngine start(
      Contender contender,
      Map<String, String> settings,
      Inputs inputs,
      Path log,
      List<String> prefix)
      throws IOException, NotAvailable {
    List<String> command = new ArrayList<>(prefix);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(EngineProcess.class.getName());
    Process process =
        new ProcessBuilder(command)
            .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
            .start();
    RemoteEngine remote = new RemoteEngine(contender, process);
    try {
      String opened = remote.ask(new Opening(contender, inputs, settings)).title();
      remote.title = opened == null ? contender.name() : opened;
      return remote;
    } catch (IOException | NotAvailable | RuntimeException e) {
      remote.close();
      throw e;
    }
  }

  Contender contender() {
    return contender;
  }

  /** Returns the contender's name and version. */
  String title() {
    return title;
  }

  /** Returns the resident memory of its process after the last workload. */
  long residentBytes() {
    return residentBytes;
  }

  Outcome run(Workload workload) throws IOException, NotAvailable {
    Outcome outcome = ask(workload).outcome();
    if (outcome == null) {
      throw new NotAvailable("expected an outcome, found an answer without");
    }
    return outcome;
  }

  private Answer ask(Object question) throws IOException, NotAvailable {
    try {
      out.write(mapper.writeValueAsString(question));
      out.newLine();
      out.flush();
    } catch (IOException e) {
      throw new NotAvailable("its process ended: " + exitCode());
    }
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      int at = line.indexOf(EngineProcess.ANSWER); // a library may leave a line unfinished
      if (at >= 0) {
        Answer answer =
            mapper.readValue(line.substring(at + EngineProcess.ANSWER.length()), Answer.class);
        residentBytes = answer.residentBytes();
        String failure = answer.failure();
        if (failure != null) {
          throw new NotAvailable(failure);
        }
        return answer;
      }
    }
    throw new NotAvailable("its process ended: " + exitCode());
  }

  private String exitCode() {
    try {
      return process.waitFor(EXIT_SECONDS, TimeUnit.SECONDS)
          ? "exit code " + process.exitValue()
          : "still running";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "interrupted";
    }
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      // the process has ended already
    }
    process.destroyForcibly();
    try {
      process.waitFor(EXIT_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Why a contender can't be measured here. */
  static final class NotAvailable extends Exception {
    private static final long serialVersionUID = 1;

    NotAvailable(String reason) {
      super(reason);
    }

    String reason() {
      return String.valueOf(getMessage());
    }
  }
}
