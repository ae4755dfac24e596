package dev.lorikeet.text.jinja;

import java.util.ArrayList;
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
    int start = 0;
    int end = text.length();
    while (left && start < end && characters.indexOf(text.codePointAt(start)) >= 0) {
      start += Character.charCount(text.codePointAt(start));
    }
    while (right && end > start && characters.indexOf(text.codePointBefore(end)) >= 0) {
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
    List<Object> parts = new ArrayList<>();
    int from = 0;
    for (int i = text.indexOf(separator); i >= 0; i = text.indexOf(separator, from)) {
      if (most >= 0 && parts.size() == most) {
        break;
      }
      parts.add(text.substring(from, i));
      from = i + separator.length();
    }
    parts.add(text.substring(from));
    return parts;
  }

  /** {@code str.rsplit} with a separator. */
  static List<Object> rsplit(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    int end = text.length();
    while (most < 0 || parts.size() < most) {
      int i = text.lastIndexOf(separator, end - separator.length());
      if (i < 0 || end < separator.length()) {
        break;
      }
      parts.addFirst(text.substring(i + separator.length(), end));
      end = i;
    }
    parts.addFirst(text.substring(0, end));
    return parts;
  }

  /** {@code str.split} at white space. */
  static List<Object> words(String text, long most) {
    List<Object> parts = new ArrayList<>();
    String rest = lstrip(text);
    while (!rest.isEmpty()) {
      if (most >= 0 && parts.size() == most) {
        parts.add(rstrip(rest));
        break;
      }
      int end = 0;
      while (end < rest.length() && !isSpace(rest.charAt(end))) {
        end++;
      }
      parts.add(rest.substring(0, end));
      rest = lstrip(rest.substring(end));
    }
    return parts;
  }

  static String replace(String text, String old, String by, long most) {
    if (most < 0) {
      return text.replace(old, by);
    }
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (long n = 0; n < most && !old.isEmpty(); n++) {
      int i = text.indexOf(old, from);
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
    for (int c : text.codePoints().toArray()) {
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
