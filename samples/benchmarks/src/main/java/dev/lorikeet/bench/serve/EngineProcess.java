package dev.lorikeet.bench.serve;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.process.Contestant;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The process in which one contender runs, so that a native library's memory, threads and faults
 * stay apart from the others'. It reads a line of JSON with the inputs, then one for each workload,
 * and answers each with a line; other lines on its output are its libraries' own.
 */
public final class EngineProcess {
  private EngineProcess() {}

  /** What the process is told first. */
  record Opening(Contender contender, Inputs inputs, Map<String, String> settings) {}

  /** What it answers: an outcome, a title after opening, or why there is neither. */
  record Answer(
      @Nullable String title,
      @Nullable Outcome outcome,
      @Nullable String failure,
      long residentBytes) {}

  /** Serves one contender until the end of the input. */
  public static void main(String[] args) throws IOException {
    PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, UTF_8);
    ObjectMapper mapper = new ObjectMapper();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    try {
      Opening opening = mapper.readValue(in.readLine(), Opening.class);
      Engine engine = opening.contender().open(opening.inputs(), opening.settings());
      answer(answers, mapper, new Answer(engine.title(), null, null, resident()));
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        Outcome outcome = engine.run(mapper.readValue(line, Workload.class));
        answer(answers, mapper, new Answer(null, outcome, null, resident()));
      }
    } catch (Exception | LinkageError e) {
      e.printStackTrace();
      answer(answers, mapper, new Answer(null, null, reason(e), resident()));
    }
    // Libraries leave threads behind, and some native ones do not survive being closed.
    Runtime.getRuntime().halt(0);
  }

  private static long resident() {
    return Machine.residentBytes();
  }

  private static String reason(Throwable failure) {
    Throwable cause = failure;
    for (@Nullable Throwable next = failure; next != null; next = next.getCause()) {
      cause = next;
    }
    String message = cause.getMessage();
    String name = cause.getClass().getSimpleName();
    return message == null ? name : name + ": " + message.lines().findFirst().orElse("");
  }

  private static void answer(PrintStream answers, ObjectMapper mapper, Answer answer)
      throws JsonProcessingException {
    answers.println(Contestant.ANSWER + mapper.writeValueAsString(answer));
  }
}
