package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Token.Kind;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/*
 * Where white space goes decides whether a prompt is right, so the rules are Jinja2's (lexer.py)
 * to the letter, with trim_blocks and lstrip_blocks on and keep_trailing_newline off:
 *   - the last newline of the template is dropped;
 *   - a minus inside a tag's border takes all white space on that side;
 *   - after %} and #} one newline is dropped, unless the tag ends with a plus;
 *   - before {% and {# white space back to the start of the line is dropped, unless the tag begins
 *     with a plus. Not so for {{ and }}.
 */

/** Splits a template into tokens. */
final class Lexer {
  private static final String[] OPERATORS = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";"
  };

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private boolean lineStarting = true;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokenize(String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) {
      source = source.substring(0, source.length() - 1);
    }
    return new Lexer(source).run();
  }

  private List<Token> run() {
    while (at < source.length()) {
      int open = nextTag(at);
      if (open < 0) {
        data(source.substring(at));
        advance(source.length());
        break;
      }
      char kind = source.charAt(open + 1);
      char sign = open + 2 < source.length() ? source.charAt(open + 2) : ' ';
      data(stripped(source.substring(at, open), kind, sign));
      advance(open);
      int inside = open + (sign == '-' || (sign == '+' && kind != '{') ? 3 : 2);
      switch (kind) {
        case '#' -> comment(inside);
        case '{' -> tag(Kind.VARIABLE_BEGIN, Kind.VARIABLE_END, inside);
        default -> block(inside);
      }
    }
    tokens.add(new Token(Kind.EOF, "", line));
    return tokens;
  }

  private int nextTag(int from) {
    for (int i = source.indexOf('{', from); i >= 0; i = source.indexOf('{', i + 1)) {
      if (i + 1 < source.length() && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return -1;
  }

  private String stripped(String text, char kind, char sign) {
    if (sign == '-') {
      return Strings.rstrip(text);
    }
    if (kind != '{' && sign != '+') {
      int start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarting) && Strings.isSpace(text.substring(start))) {
        return text.substring(0, start);
      }
    }
    return text;
  }

  private void data(String text) {
    if (!text.isEmpty()) {
      tokens.add(new Token(Kind.DATA, text, line));
    }
  }

  /** Moves on, counting lines. */
  private void advance(int to) {
    for (int i = at; i < to; i++) {
      if (source.charAt(i) == '\n') {
        line++;
      }
    }
    if (to > at) {
      lineStarting = source.charAt(to - 1) == '\n';
    }
    at = to;
  }

  private int skipSpace(int from) {
    int i = from;
    while (i < source.length() && Strings.isSpace(source.charAt(i))) {
      i++;
    }
    return i;
  }

  /**
   * Returns where the template goes on after a border such as {@code %}} that begins at {@code i}.
   */
  private int afterBorder(int i, boolean trimNewline) {
    char sign = source.charAt(i);
    int end = sign == '-' || sign == '+' ? i + 3 : i + 2;
    if (sign == '-') {
      return skipSpace(end);
    }
    boolean newline = end < source.length() && source.charAt(end) == '\n';
    return trimNewline && sign != '+' && newline ? end + 1 : end;
  }

  private void comment(int inside) {
    int close = source.indexOf("#}", inside);
    if (close < 0) {
      throw JinjaException.syntax(line, "expected '#}', found the end of the template");
    }
    char before = source.charAt(close - 1);
    boolean signed = close > inside && (before == '-' || before == '+');
    advance(afterBorder(signed ? close - 1 : close, true));
  }

  private void block(int inside) {
    int word = skipSpace(inside);
    if (!source.startsWith("raw", word)) {
      tag(Kind.BLOCK_BEGIN, Kind.BLOCK_END, inside);
      return;
    }
    int close = skipSpace(word + 3);
    if (source.startsWith("-%}", close)) {
      advance(skipSpace(close + 3));
    } else if (source.startsWith("%}", close)) {
      advance(close + 2);
    } else {
      tag(Kind.BLOCK_BEGIN, Kind.BLOCK_END, inside);
      return;
    }
    raw();
  }

  private void raw() {
    for (int i = source.indexOf("{%", at); i >= 0; i = source.indexOf("{%", i + 2)) {
      char sign = i + 2 < source.length() ? source.charAt(i + 2) : ' ';
      int word = skipSpace(sign == '-' || sign == '+' ? i + 3 : i + 2);
      int close = skipSpace(word + 6);
      if (source.startsWith("endraw", word)
          && (source.startsWith("%}", close)
              || source.startsWith("-%}", close)
              || source.startsWith("+%}", close))) {
        data(stripped(source.substring(at, i), '%', sign));
        advance(afterBorder(close, true));
        return;
      }
    }
    throw JinjaException.syntax(line, "expected 'endraw', found the end of the template");
  }

  private void tag(Kind begin, Kind end, int inside) {
    String border = begin == Kind.BLOCK_BEGIN ? "%}" : "}}";
    boolean block = begin == Kind.BLOCK_BEGIN;
    tokens.add(new Token(begin, "", line));
    advance(inside);
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      advance(skipSpace(at));
      if (at == source.length()) {
        throw JinjaException.syntax(
            line, "expected '" + border + "', found the end of the template");
      }
      boolean signed =
          source.startsWith("-" + border, at) || (block && source.startsWith("+" + border, at));
      if (open.isEmpty() && (signed || source.startsWith(border, at))) {
        tokens.add(new Token(end, "", line));
        advance(afterBorder(at, block));
        return;
      }
      char c = source.charAt(at);
      if (c == '\'' || c == '"') {
        string(c);
      } else if (c >= '0' && c <= '9') {
        number();
      } else if (c == '_' || Character.isLetterOrDigit(source.codePointAt(at))) {
        name();
      } else {
        operator(open);
      }
    }
  }

  private void string(char quote) {
    int i = at + 1;
    while (i < source.length() && source.charAt(i) != quote) {
      i += source.charAt(i) == '\\' ? 2 : 1;
    }
    if (i >= source.length()) {
      throw JinjaException.syntax(line, "expected " + quote + " to end the string, found none");
    }
    tokens.add(new Token(Kind.STRING, Strings.unescape(source.substring(at + 1, i)), line));
    advance(i + 1);
  }

  private void number() {
    int i = digits(at);
    boolean fraction = false;
    if (i + 1 < source.length() && source.charAt(i) == '.' && isDigit(i + 1)) {
      i = digits(i + 1);
      fraction = true;
    }
    if (i < source.length() && (source.charAt(i) == 'e' || source.charAt(i) == 'E')) {
      int exponent = i + 1;
      if (exponent < source.length() && "+-".indexOf(source.charAt(exponent)) >= 0) {
        exponent++;
      }
      if (exponent < source.length() && isDigit(exponent)) {
        i = digits(exponent);
        fraction = true;
      }
    }
    String text = source.substring(at, i).replace("_", "");
    tokens.add(new Token(fraction ? Kind.FLOAT : Kind.INTEGER, text, line));
    advance(i);
  }

  private boolean isDigit(int i) {
    return source.charAt(i) >= '0' && source.charAt(i) <= '9';
  }

  private int digits(int from) {
    int i = from;
    while (i < source.length() && (isDigit(i) || source.charAt(i) == '_')) {
      i++;
    }
    return i;
  }

  private void name() {
    int i = at;
    while (i < source.length()
        && (source.charAt(i) == '_' || Character.isLetterOrDigit(source.codePointAt(i)))) {
      i += Character.charCount(source.codePointAt(i));
    }
    tokens.add(new Token(Kind.NAME, source.substring(at, i), line));
    advance(i);
  }

  private void operator(Deque<Character> open) {
    for (String symbol : OPERATORS) {
      if (source.startsWith(symbol, at)) {
        char c = symbol.charAt(0);
        if ("([{".indexOf(c) >= 0) {
          open.push(c);
        } else if (")]}".indexOf(c) >= 0
            && (open.isEmpty() || "([{".indexOf(open.pop()) != ")]}".indexOf(c))) {
          throw JinjaException.syntax(
              line, "expected a bracket that was opened, found '" + c + "'");
        }
        tokens.add(new Token(Kind.OPERATOR, symbol, line));
        advance(at + symbol.length());
        return;
      }
    }
    throw JinjaException.syntax(line, "expected an expression, found '" + source.charAt(at) + "'");
  }
}
