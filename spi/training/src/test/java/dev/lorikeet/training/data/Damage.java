package dev.lorikeet.training.data;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** Random damage to texts of JSON or YAML, such that they often stay that. */
public final class Damage {
  private static final Pattern VALUE =
      Pattern.compile("-?\\d[\\d.eE+-]*|\"[^\"]*\"|[A-Za-z_~+-]+|\\[[^\\[\\]{}]*\\]|[\\n ]+|[:,]");
  private static final String[] VALUES = {
    "0",
    "-1",
    "1.5",
    "2147483648",
    "9223372036854775808",
    "1e999999999",
    "1e-400",
    ".nan",
    "null",
    "true",
    "~",
    "\"\"",
    "\"a\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "[]",
    "{}",
    "[[1], {\"a\": {}}]",
    "&a [*a]",
    "*a",
    "!!java.net.URL \"x\"",
    "!!binary x",
    "<<: {r: 1}",
    "? [x]",
    "|",
    ">-",
    "---",
    "...",
    "%YAML 9.9",
    "\t",
    "\n",
    "\r",
    "\n  - ",
    "text",
    "prompt",
    "messages",
    "assistant",
    "dora",
    "max_steps",
    "\u0000",
    "\u0085",
    "\u00ff\u00fe"
  };

  private final Random random;

  /** Damages as this source of random numbers has it. */
  public Damage(Random random) {
    this.random = random;
  }

  /** Changes a text once or a few times. */
  public byte[] of(byte[] original) {
    byte[] bytes = original;
    for (int i = random.nextInt(3); i >= 0; i--) {
      bytes = random.nextInt(4) == 0 ? bytes(bytes) : value(bytes);
    }
    return bytes;
  }

  private byte[] value(byte[] original) {
    String text = new String(original, ISO_8859_1);
    List<MatchResult> values = VALUE.matcher(text).results().toList();
    if (values.isEmpty()) {
      return bytes(original);
    }
    MatchResult at = values.get(random.nextInt(values.size()));
    String other = values.get(random.nextInt(values.size())).group();
    String any = VALUES[random.nextInt(VALUES.length)];
    String by =
        switch (random.nextInt(7)) {
          case 0 -> other;
          case 1 -> at.group() + ", " + other;
          case 2 -> at.group() + ", " + other + ": " + any;
          case 3 -> (random.nextBoolean() ? "[" : "{a: ").repeat(random.nextInt(2000));
          case 4 -> "";
          default -> any;
        };
    return (text.substring(0, at.start()) + by + text.substring(at.end())).getBytes(ISO_8859_1);
  }

  private byte[] bytes(byte[] original) {
    byte[] bytes = original.length == 0 ? new byte[1] : original.clone();
    int at = random.nextInt(bytes.length);
    int length = 1 + random.nextInt(Math.min(64, bytes.length - at));
    String text = new String(bytes, ISO_8859_1);
    return switch (random.nextInt(4)) {
      case 0 -> {
        bytes[at] = (byte) random.nextInt();
        yield bytes;
      }
      case 1 -> text.substring(0, at).getBytes(ISO_8859_1);
      case 2 -> (text.substring(0, at + length) + text.substring(at)).getBytes(ISO_8859_1);
      default -> (text.substring(0, at) + text.substring(at + length)).getBytes(ISO_8859_1);
    };
  }
}
