package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;

/** Values as Python prints them. */
final class Printed {
  private static final int LONGEST_NAME = 100;

  private Printed() {}

  /** {@code str(value)}. */
  static String text(Object value) {
    return switch (value) {
      case String s -> s;
      case Undefined u -> "";
      default -> representation(value);
    };
  }

  /** {@code repr(value)}. */
  static String representation(Object value) {
    TextWriter out = new TextWriter();
    write(value, out);
    return out.toString();
  }

  /** {@code repr(value)} of what cannot be long; of the rest, the type. */
  static String brief(Object value) {
    boolean small =
        value instanceof String s
            ? s.length() <= LONGEST_NAME
            : Values.isNumber(value) || Values.isNone(value);
    return small ? representation(value) : "<" + Values.type(value) + ">";
  }

  private static void write(Object value, TextWriter out) {
    switch (value) {
      case String s -> quoted(s, out);
      case Boolean b -> out.append(b ? "True" : "False");
      case Long l -> out.append(l.toString());
      case Double d -> out.append(number(d));
      case Tuple t -> {
        items("(", t, out);
        out.append(t.size() == 1 ? ",)" : ")");
      }
      case List<?> list -> {
        items("[", list, out);
        out.append("]");
      }
      case Map<?, ?> map -> {
        String before = "{";
        Limits.current().enter();
        for (Map.Entry<?, ?> entry : map.entrySet()) {
          Limits.visit(1);
          write(entry.getKey(), out.append(before));
          write(entry.getValue(), out.append(": "));
          before = ", ";
        }
        Limits.current().leave();
        out.append(map.isEmpty() ? "{}" : "}");
      }
      case Undefined u -> out.append("Undefined");
      default -> out.append(Values.isNone(value) ? "None" : "<" + Values.type(value) + ">");
    }
  }

  private static void items(String open, List<?> items, TextWriter out) {
    Limits.current().enter();
    out.append(open);
    boolean more = false;
    for (Object item : items) {
      Limits.visit(1);
      write(item, out.append(more ? ", " : ""));
      more = true;
    }
    Limits.current().leave();
  }

  private static void quoted(String text, TextWriter out) {
    Limits.read(text.length());
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    int c;
    for (int i = 0; i < text.length(); i += Character.charCount(c)) {
      c = text.codePointAt(i);
      switch (c) {
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\\' -> out.append("\\\\");
        default -> {
          if (c == quote) {
            out.append('\\').append(quote);
          } else if (c < 0x20 || (c >= 0x7F && c < 0xA1) || c == 0xAD) {
            out.append("\\x").appendHexadecimal(c, 2);
          } else {
            out.appendCodePoint(c);
          }
        }
      }
    }
    out.append(quote);
  }

  /** {@code repr} of a float: the shortest digits that give it back. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal digits = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    int exponent = digits.precision() - digits.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = digits.toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String all = digits.unscaledValue().abs().toString();
    String mantissa = all.length() == 1 ? all : all.charAt(0) + "." + all.substring(1);
    String sign = value < 0 ? "-" : "";
    return sign + mantissa + (exponent < 0 ? "e-" : "e+") + "%02d".formatted(Math.abs(exponent));
  }
}
