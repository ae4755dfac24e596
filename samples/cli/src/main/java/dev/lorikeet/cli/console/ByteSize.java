package dev.lorikeet.cli.console;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads and writes sizes such as {@code 512M}; units are powers of 1024. */
public final class ByteSize implements ITypeConverter<Long> {
  private static final Pattern SIZE =
      Pattern.compile("(\\d{1,18})([KMGT]?)(I?B)?", Pattern.CASE_INSENSITIVE);
  private static final String UNITS = "KMGT";

  @Override
  public Long convert(String value) {
    Matcher size = SIZE.matcher(value);
    if (!size.matches()) {
      throw new TypeConversionException(
          "expected a size such as 512M or 8G, found '" + value + "'");
    }
    String unit = size.group(2).toUpperCase(Locale.ROOT);
    long factor = unit.isEmpty() ? 1 : 1L << 10 * (UNITS.indexOf(unit) + 1);
    try {
      return Math.multiplyExact(Long.parseLong(size.group(1)), factor);
    } catch (ArithmeticException e) {
      throw new TypeConversionException("expected less than 8 EiB, found '" + value + "'");
    }
  }

  /** Returns a size for people, such as {@code 1.5 MiB}. */
  public static String text(long bytes) {
    double value = bytes;
    String unit = "B";
    for (int i = 0; i < UNITS.length() && value >= 1024; i++) {
      value /= 1024;
      unit = UNITS.charAt(i) + "iB";
    }
    return String.format(
        Locale.ROOT, value == Math.rint(value) ? "%.0f %s" : "%.1f %s", value, unit);
  }
}
