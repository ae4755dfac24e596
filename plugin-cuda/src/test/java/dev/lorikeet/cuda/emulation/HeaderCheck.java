package dev.lorikeet.cuda.emulation;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Static assertions about the kernels' header {@code layout.cuh}, one for each constant of a class
 * that describes one of its structures.
 */
public final class HeaderCheck {
  private final StringBuilder source =
      new StringBuilder("#include <cstddef>\n#include \"layout.cuh\"\nusing namespace lorikeet;\n");
  private int fields;

  /** Asserts the constant {@code BYTES} as the structure's size, every other one as an offset. */
  public HeaderCheck structure(String structure, Class<?> description, String... others) {
    for (Field field : description.getDeclaredFields()) {
      String name = field.getName();
      if (Set.of(others).contains(name)) {
        continue;
      }
      String found =
          name.equals("BYTES")
              ? "sizeof(" + structure + ")"
              : "offsetof(" + structure + ", " + camelCase(name) + ")";
      that(found, value(description, name));
      fields++;
    }
    return this;
  }

  /** Asserts constants that have the same names in Java and in the header. */
  public HeaderCheck constants(Class<?> description, String... names) {
    for (String name : names) {
      that(name, value(description, name));
    }
    return this;
  }

  /** Asserts the value of an expression. */
  public HeaderCheck that(String expression, int value) {
    source.append("static_assert(" + expression + " == " + value + ");\n");
    return this;
  }

  /** Lets the compiler judge; fails if there were fewer fields than expected. */
  public void judge(int leastFields) throws IOException, InterruptedException {
    assertTrue(fields >= leastFields, "found " + fields + " fields");
    NativeCompiler.check(
        source.toString(), "-DLORIKEET_EMULATION", "-w", "-Isrc/main/cuda", "-Isrc/test/emulation");
  }

  private static int value(Class<?> description, String constant) {
    try {
      Field field = description.getDeclaredField(constant);
      field.setAccessible(true);
      return field.getInt(null);
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException(description + ": expected an int " + constant, e);
    }
  }

  private static String camelCase(String constant) {
    return Pattern.compile("_(.)")
        .matcher(constant.toLowerCase(Locale.ROOT))
        .replaceAll(m -> m.group(1).toUpperCase(Locale.ROOT));
  }
}
