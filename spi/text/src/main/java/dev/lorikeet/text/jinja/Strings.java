package dev.lorikeet.text.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** Strings as Python has them: sequences of code points, with Python's idea of white space. */
final class Strings {
  private Strings() {}

  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  /** Returns whether a text is white space and nothing else, and not empty. */
  static boolean isSpace(String text) {
    return !text.isEmpty() && text.chars().allMatch(Strings::isSpace);
  }

  static String rstrip(String text) {
    int end = text.length();
    while (end > 0 && isSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end);
  }

  static String lstrip(String text) {
    int start = 0;
    while (start < text.length() && isSpace(text.charAt(start))) {
      start++;
    }
    return text.substring(start);
  }

  /** Strips any of the given characters. */
  static String strip(String text, String characters, boolean left, boolean right) {
    int[] any = characters.codePoints().sorted().distinct().toArray();
    int start = 0;
    int end = text.length();
    while (left && start < end && Arrays.binarySearch(any, text.codePointAt(start)) >= 0) {
      start += Character.charCount(text.codePointAt(start));
    }
    while (right && end > start && Arrays.binarySearch(any, text.codePointBefore(end)) >= 0) {
      end -= Character.charCount(text.codePointBefore(end));
    }
    return text.substring(start, end);
  }

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  /** Returns the code points from {@code start} to {@code end}. */
  static String substring(String text, int start, int end) {
    int from = text.offsetByCodePoints(0, start);
    return text.substring(from, text.offsetByCodePoints(from, end - start));
  }

  /** {@code str.split} with a separator. */
  static List<Object> split(String text, String separator, long most) {
    Search search = Search.of(separator);
    List<Object> parts = new ArrayList<>();
    int from = 0;
    for (int i = search.next(text, 0); i >= 0; i = search.next(text, from)) {
      if (most >= 0 && parts.size() == most) {
        break;
      }
      add(text, from, i, parts);
      from = i + separator.length();
    }
    add(text, from, text.length(), parts);
    return parts;
  }

  /** {@code str.rsplit} with a separator: {@code str.split} in a mirror. */
  static List<Object> rsplit(String text, String separator, long most) {
    Search search = Search.of(reversed(separator));
    String mirrored = reversed(text);
    List<Object> parts = new ArrayList<>();
    int end = text.length();
    while (most < 0 || parts.size() < most) {
      int i = search.next(mirrored, text.length() - end);
      if (i < 0) {
        break;
      }
      add(text, text.length() - i, end, parts);
      end = text.length() - i - separator.length();
    }
    add(text, 0, end, parts);
    Collections.reverse(parts);
    return parts;
  }

  /** Returns the last place of a part of a text, or -1. */
  static int lastIndexOf(String text, String part) {
    int i = Search.of(reversed(part)).next(reversed(text), 0);
    return i < 0 ? -1 : text.length() - i - part.length();
  }

  /** Characters in reverse, pairs of surrogates too, which are no characters then. */
  private static String reversed(String text) {
    Limits.write(text.length());
    char[] characters = text.toCharArray();
    for (int i = 0, j = characters.length - 1; i < j; i++, j--) {
      char c = characters[i];
      characters[i] = characters[j];
      characters[j] = c;
    }
    return new String(characters);
  }

  /** {@code str.split} at white space. */
  static List<Object> words(String text, long most) {
    List<Object> parts = new ArrayList<>();
    int start = afterSpace(text, 0);
    while (start < text.length()) {
      if (most >= 0 && parts.size() == most) {
        add(text, start, rstrip(text).length(), parts);
        break;
      }
      int end = start;
      while (end < text.length() && !isSpace(text.charAt(end))) {
        end++;
      }
      add(text, start, end, parts);
      start = afterSpace(text, end);
    }
    return parts;
  }

  private static int afterSpace(String text, int from) {
    int i = from;
    while (i < text.length() && isSpace(text.charAt(i))) {
      i++;
    }
    return i;
  }

  /** {@code str.splitlines}. */
  static List<Object> lines(String text) {
    List<Object> lines = new ArrayList<>();
    int from = 0;
    while (from < text.length()) {
      int end = from;
      while (end < text.length() && text.charAt(end) != '\n' && text.charAt(end) != '\r') {
        end++;
      }
      add(text, from, end, lines);
      from = text.startsWith("\r\n", end) ? end + 2 : end + 1;
    }
    return lines;
  }

  private static void add(String text, int from, int to, List<Object> parts) {
    Limits.checkItems(parts.size() + 1L);
    Limits.list(1);
    Limits.write(to - from);
    parts.add(text.substring(from, to));
  }

  /** {@code str.replace}. */
  static String replace(String text, String old, String by, long most) {
    TextWriter out = new TextWriter();
    int from = 0;
    if (old.isEmpty()) {
      int places = Math.clamp(most < 0 ? Long.MAX_VALUE : most, 0, text.length() + 1);
      for (int n = 0; n < places; n++) {
        out.append(by);
        if (n < text.length()) {
          out.append(text.charAt(n));
          from = n + 1;
        }
      }
      return out.append(text, from, text.length()).toString();
    }
    Search search = Search.of(old);
    for (long n = 0; most < 0 || n < most; n++) {
      int i = search.next(text, from);
      if (i < 0) {
        break;
      }
      out.append(text, from, i).append(by);
      from = i + old.length();
    }
    return out.append(text, from, text.length()).toString();
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return text.substring(0, first).toUpperCase(Locale.ROOT)
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  /** {@code str.title}: capitals after everything that is no letter. */
  static String title(String text) {
    StringBuilder out = new StringBuilder();
    boolean inWord = false;
    int c;
    for (int i = 0; i < text.length(); i += Character.charCount(c)) {
      c = text.codePointAt(i);
      out.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return out.toString();
  }

  /** The escapes of a Python string literal. */
  static String unescape(String literal) {
    if (literal.indexOf('\\') < 0) {
      return literal;
    }
    StringBuilder out = new StringBuilder();
    int i = 0;
    while (i < literal.length()) {
      char c = literal.charAt(i++);
      if (c != '\\' || i == literal.length()) {
        out.append(c);
        continue;
      }
      char escape = literal.charAt(i++);
      int simple = "\\'\"abfnrtv".indexOf(escape);
      int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
      if (simple >= 0) {
        out.append("\\'\"\007\b\f\n\r\t\013".charAt(simple));
      } else if (escape >= '0' && escape <= '7') {
        int end = i;
        while (end < i + 2 && end < literal.length() && isOctal(literal.charAt(end))) {
          end++;
        }
        out.append((char) Integer.parseInt(literal.substring(i - 1, end), 8));
        i = end;
      } else if (digits > 0 && isHexadecimal(literal, i, digits)) {
        out.appendCodePoint(Integer.parseInt(literal.substring(i, i + digits), 16));
        i += digits;
      } else if (escape != '\n') {
        out.append('\\').append(escape);
      }
    }
    return out.toString();
  }

  private static boolean isOctal(char c) {
    return c >= '0' && c <= '7';
  }

  private static boolean isHexadecimal(String text, int from, int digits) {
    if (from + digits > text.length()) {
      return false;
    }
    String number = text.substring(from, from + digits);
    return number.chars().allMatch(c -> Character.digit(c, 16) >= 0 && c < 128)
        && Long.parseLong(number, 16) <= Character.MAX_CODE_POINT;
  }
}
