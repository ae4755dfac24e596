package dev.lorikeet.cli.console;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lorikeet.LorikeetException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/**
 * Prints records as JSON; their components become keys in snake case. README.md describes them for
 * scripts: keys may be added, none changes its meaning.
 */
public final class Json {
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
          .build();
  private static final ObjectWriter PRETTY = MAPPER.writerWithDefaultPrettyPrinter();

  private Json() {}

  /** Prints an object over several lines. */
  public static void print(PrintWriter out, Object value) {
    write(out, PRETTY, value);
  }

  /** Prints an object in one line. */
  public static void printLine(PrintWriter out, Object value) {
    write(out, MAPPER.writer(), value);
  }

  private static void write(PrintWriter out, ObjectWriter writer, Object value) {
    try {
      out.println(writer.writeValueAsString(value));
      out.flush();
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What is printed in place of a result that there is not. */
  public record Failure(Problem error) {}

  /**
   * What went wrong.
   *
   * @param code a stable code
   * @param message the reason for people
   * @param id what tells this failure from all others in logs and traces; null for wrong usage
   */
  public record Problem(String code, String message, @Nullable String id) {
    /** Returns what a failure tells. */
    public static Problem of(LorikeetException failure) {
      return new Problem(failure.code().name(), failure.getMessage(), failure.id());
    }
  }
}
