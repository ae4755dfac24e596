package dev.lorikeet.bench.process;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
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

/**
 * A child process that reads questions as lines of JSON and answers each with a line behind {@link
 * #ANSWER}; other lines on its output are its libraries' own. Used by one thread.
 */
public final class Contestant implements AutoCloseable {
  /** What an answer's line begins with. */
  public static final String ANSWER = "lorikeet-bench:";

  private static final long EXIT_SECONDS = 20;

  private final ObjectMapper mapper = new ObjectMapper();
  private final Process process;
  private final BufferedReader in;
  private final BufferedWriter out;

  private Contestant(Process process) {
    this.process = process;
    this.in = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    this.out = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), UTF_8));
  }

  /**
   * Starts a process.
   *
   * @param command its words
   * @param environment variables beside those of this process
   * @param log where its error output goes
   */
  public static Contestant start(List<String> command, Map<String, String> environment, Path log)
      throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()));
    builder.environment().putAll(environment);
    return new Contestant(builder.start());
  }

  /**
   * Returns the command of a class with the JVM, its options and the class path of this process.
   *
   * @param options further options of the JVM
   */
  public static List<String> java(Class<?> main, String... options) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(main.getName());
    return command;
  }

  /**
   * Asks a question.
   *
   * @param question is written as JSON
   * @param type of the answer
   * @throws NotAvailable if the process ends without an answer
   */
  public <T> T ask(Object question, Class<T> type) throws IOException, NotAvailable {
    try {
      out.write(mapper.writeValueAsString(question));
      out.newLine();
      out.flush();
    } catch (IOException e) {
      throw new NotAvailable("its process ended: " + exitCode());
    }
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      int at = line.indexOf(ANSWER); // a library may leave a line unfinished
      if (at >= 0) {
        return mapper.readValue(line.substring(at + ANSWER.length()), type);
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
}
