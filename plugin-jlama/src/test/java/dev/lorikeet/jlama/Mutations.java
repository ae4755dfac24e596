package dev.lorikeet.jlama;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** Random damage to files: to bytes, and to JSON such that it often stays JSON. */
public final class Mutations {
  private static final Pattern VALUE =
      Pattern.compile("-?\\d[\\d.eE+-]*|\"[^\"]*\"|true|false|null|\\[[^\\[\\]{}]*\\]");
  private static final String[] VALUES = {
    "0",
    "1",
    "-1",
    "2",
    "3",
    "1.5",
    "4096",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1e999999999",
    "1e308",
    "1e-400",
    "true",
    "null",
    "\"\"",
    "\"a\"",
    "\"F32\"",
    "\"BF16\"",
    "\"Q4\"",
    "[]",
    "{}",
    "[[]]",
    "[1, 2]",
    "[0, 9223372036854775807]",
    "[-1]",
    "{\"a\": {\"a\": 1}}",
    "\"\\ud800\"",
    "\"../x\"",
    "\"x.safetensors\"",
    "\"(a*)*b\"",
    "\"(((((.*)*)*)*)*)x\""
  };

  private final Random random;

  public Mutations(Random random) {
    this.random = random;
  }

  /** Changes a JSON text once or a few times. */
  public byte[] json(byte[] original) {
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
    MatchResult other = values.get(random.nextInt(values.size()));
    String by =
        switch (random.nextInt(6)) {
          case 0 -> other.group();
          case 1 -> at.group() + ", " + other.group();
          case 2 ->
              at.group() + ", " + other.group() + ": " + VALUES[random.nextInt(VALUES.length)];
          case 3 -> "[".repeat(random.nextInt(2000));
          default -> VALUES[random.nextInt(VALUES.length)];
        };
    return (text.substring(0, at.start()) + by + text.substring(at.end())).getBytes(ISO_8859_1);
  }

  /** Changes bytes anywhere. */
  public byte[] bytes(byte[] original) {
    if (original.length == 0) {
      return new byte[] {(byte) random.nextInt()};
    }
    byte[] bytes = original.clone();
    int at = random.nextInt(bytes.length);
    int length = 1 + random.nextInt(Math.min(64, bytes.length - at));
    switch (random.nextInt(6)) {
      case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bytes[at] = (byte) random.nextInt();
      case 2 -> Arrays.fill(bytes, at, at + length, (byte) (random.nextBoolean() ? 0xFF : 0));
      case 3 -> {
        return Arrays.copyOf(bytes, at);
      }
      case 4 -> {
        ByteArrayOutputStream twice = new ByteArrayOutputStream();
        twice.write(bytes, 0, at + length);
        twice.write(bytes, at, bytes.length - at);
        return twice.toByteArray();
      }
      default -> {
        ByteArrayOutputStream less = new ByteArrayOutputStream();
        less.write(bytes, 0, at);
        less.write(bytes, at + length, bytes.length - at - length);
        return less.toByteArray();
      }
    }
    return bytes;
  }

  /** Changes a safetensors file: mostly its header, whose length is mostly right then. */
  byte[] safetensors(byte[] original) {
    if (random.nextInt(4) == 0) {
      return bytes(original);
    }
    int length = (int) ByteBuffer.wrap(original).order(ByteOrder.LITTLE_ENDIAN).getLong();
    byte[] header = json(Arrays.copyOfRange(original, 8, 8 + length));
    byte[] changed =
        ByteBuffer.allocate(original.length - length + header.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(random.nextInt(16) == 0 ? random.nextLong() : header.length)
            .put(header)
            .put(original, 8 + length, original.length - 8 - length)
            .array();
    return random.nextInt(8) == 0 ? bytes(changed) : changed;
  }

  /** Changes the beginning or the end of a binary file, where its description is. */
  byte[] binary(byte[] original) {
    int edge = Math.min(original.length, 4096);
    boolean atEnd = random.nextBoolean();
    int from = atEnd ? original.length - edge : 0;
    byte[] part = bytes(Arrays.copyOfRange(original, from, from + edge));
    List<byte[]> parts = new ArrayList<>();
    parts.add(Arrays.copyOf(original, from));
    parts.add(part);
    parts.add(Arrays.copyOfRange(original, from + edge, original.length));
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    parts.forEach(all::writeBytes);
    return all.toByteArray();
  }
}
