package dev.lorikeet.text.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Writes templates that mean nothing, by the grammar, with sizes that tempt the limits. Types
 * mostly fit, since a template ends at the first that does not.
 */
final class RandomTemplate {
  private static final int WILD = 60;

  private static final List<String> TEXTS =
      List.of(
          "''",
          "'a'",
          "'a b  c'",
          "'\\n'",
          "'%%'",
          "'ab' * 3000",
          "'\\U0001F600x'",
          "'1e999'",
          "'\\x00&<'",
          "'role'",
          "'  '",
          "'aaaaaaaaaaaaaaaaaaaaaaaaab'",
          "bos_token",
          "t",
          "messages[0].content",
          "messages[-1].role",
          "messages[0]['content']",
          "ns.t");
  private static final List<String> NUMBERS =
      List.of(
          "0",
          "1",
          "2",
          "7",
          "-1",
          "100",
          "3000",
          "100000",
          "9223372036854775807",
          "0.5",
          "1e308",
          "1e-320",
          "(-9223372036854775807 - 1)",
          "n",
          "messages|length",
          "true",
          "-n");
  private static final List<String> LISTS =
      List.of(
          "[]",
          "()",
          "[1, 2]",
          "('a', 'b')",
          "messages",
          "messages[1:]",
          "range(9)",
          "range(3000)",
          "range(3000)|list",
          "l",
          "ns.l",
          "[ns.l, ns.l]",
          "(l, 1)",
          "['a'] * 1000",
          "[[[]]]");
  private static final List<String> OF_TEXTS =
      List.of("['b', 'a']", "('ab', 'b') ", "['x'] * 500", "messages|map(attribute='role')|list");
  private static final List<String> ANYTHING =
      List.of("nothing", "none", "ns", "loop", "m", "tools", "f", "range", "{}", "messages[0]");
  private static final List<String> TEXT_TO_TEXT =
      List.of(
          "|capitalize",
          "|e",
          "|indent",
          "|indent(3, true, true)",
          "|lower",
          "|replace('a', 'bb')",
          "|replace('', t)",
          "|reverse",
          "|string",
          "|title",
          "|tojson",
          "|trim",
          "|trim(t)",
          "|upper",
          "|safe",
          "|default('x', true)",
          ".strip()",
          ".lstrip(t)",
          ".rstrip('a')",
          ".replace('a', t)",
          ".removeprefix('a')",
          ".removesuffix(t)",
          ".upper()",
          ".title()",
          ".capitalize()",
          ".replace('a', 'xyz', 3)",
          "[1:]",
          "[::-1]",
          "[:n]",
          "[5:100:3]",
          ".split('a')[0]",
          ".split()|join(t)",
          ".splitlines()|join",
          "|list|join('-')",
          " ~ t",
          " + 'x'",
          " * 3",
          "|format()");
  private static final List<String> TEXT_TO_LIST =
      List.of(
          "|list",
          ".split()",
          ".split('a')",
          ".split(t ~ 'x', 2)",
          ".rsplit('a', 1)",
          ".rsplit('ab')",
          ".splitlines()",
          "|unique|list",
          "|sort",
          "|map('upper')|list");
  private static final List<String> TO_NUMBER =
      List.of("|length", ".count('a')", ".find('a')", ".rfind(t)", "|int", "|float");
  private static final List<String> LIST_TO_LIST =
      List.of(
          "[1:]",
          "[::-1]",
          "[n:]",
          "[::n + 1]",
          " + [1]",
          " * 2",
          "|list",
          "|reverse",
          "|unique",
          "|reject('none')|list",
          "|select|list",
          "|map('string')|list",
          "|map('tojson')|list",
          "|map('string')|sort",
          "|map('string')|sort(reverse=true)",
          "|select('string')|list");
  private static final List<String> LIST_TO_TEXT =
      List.of("|tojson", "|string", "|join", "|join(t)", "|tojson(indent=2)", "|tojson(indent=t)");
  private static final List<String> TESTS =
      List.of(
          "defined",
          "undefined",
          "none",
          "true",
          "boolean",
          "string",
          "number",
          "integer",
          "float",
          "mapping",
          "sequence",
          "iterable",
          "callable",
          "equalto t",
          "sameas l",
          "ne n",
          "in messages",
          "lower",
          "upper");
  private static final List<String> WILD_ENDS =
      List.of(
          "|abs",
          "|dictsort",
          "|first",
          "|last",
          "|items",
          "|map(attribute='a.0')|list",
          "|max",
          "|min",
          "|round",
          "|round(2, 'ceil')",
          "|selectattr('role', '==', 'user')|list",
          "|sum",
          "|sort(attribute='role')",
          "|tojson(sort_keys=true)",
          ".items()",
          ".keys()",
          ".values()",
          ".get('role', t)",
          ".copy()",
          ".index(t)",
          ".append(1)",
          ".cycle(1, 2)",
          ".changed(t)",
          ".a",
          ".0",
          "()",
          "(1, a=2)",
          " is divisibleby 3",
          " is odd",
          "|format(t, n)");
  private static final List<String> ARITHMETIC =
      List.of("+", "-", "*", "/", "//", "%", "**", "and", "or");
  private static final List<String> COMPARISONS = List.of("==", "!=", "in", "not in");

  private final Random random;

  RandomTemplate(Random random) {
    this.random = random;
  }

  private String any(List<String> choices) {
    return choices.get(random.nextInt(choices.size()));
  }

  String make() {
    return "{% set n = 2 %}{% set t = "
        + content(random).replaceAll("[^a-z <>/]", "").transform(u -> "'" + u + "'")
        + " %}"
        + "{% set l = [1, 'a', messages] %}{% set ns = namespace(t=t, l=l) %}"
        + body(3);
  }

  private String body(int depth) {
    StringBuilder out = new StringBuilder();
    for (int i = random.nextInt(4); i >= 0; i--) {
      out.append(statement(depth));
    }
    return out.toString();
  }

  private String statement(int depth) {
    if (depth == 0) {
      return "{{ " + expression(2) + " }}";
    }
    return switch (random.nextInt(16)) {
      case 0 -> " text \n";
      case 1 -> "{% if " + condition(2) + " %}" + body(depth - 1) + "{% else %}e{% endif %}";
      case 2, 3 ->
          "{% for m in "
              + list(2)
              + " %}"
              + body(depth - 1)
              + (random.nextBoolean() ? "" : "{% else %}none")
              + "{% endfor %}";
      case 4 ->
          "{% for i in range(" + random.nextInt(300) + ") %}" + body(depth - 1) + "{% endfor %}";
      case 5 -> "{% set ns.t = " + text(2) + " %}";
      case 6 -> "{% set ns.l = [ns.l, ns.l] %}";
      case 7 -> "{% set ns.l = (ns.l, ns.l) %}{{ ns.l == (ns.l, ns.l) }}";
      case 8 -> "{% set t %}" + body(depth - 1) + "{% endset %}";
      case 9 -> "{% filter upper %}" + body(depth - 1) + "{% endfilter %}";
      case 10 ->
          "{% macro f(m, t=" + text(1) + ") %}" + body(depth - 1) + "{% endmacro %}{{ f(l) }}";
      case 11 -> "{% with t = " + text(2) + " %}" + body(depth - 1) + "{% endwith %}";
      case 12 -> "{% set t = ns.t ~ t %}{% set ns.t = t ~ ns.t %}";
      case 13 -> "{% set l = " + list(2) + " %}";
      case 14 -> "{% set n = " + number(1) + " %}";
      default -> "{{ " + expression(3) + " }}";
    };
  }

  String expression(int depth) {
    return switch (random.nextInt(6)) {
      case 0 -> number(depth);
      case 1 -> list(depth);
      case 2 -> condition(depth);
      default -> text(depth);
    };
  }

  private String wild(int depth) {
    String inner = depth == 0 ? any(ANYTHING) : expression(depth - 1);
    return switch (random.nextInt(3)) {
      case 0 -> any(ANYTHING);
      case 1 -> "((" + inner + ")" + any(WILD_ENDS) + ")";
      default -> "{" + inner + ": " + any(ANYTHING) + ", 'role': t}";
    };
  }

  private String text(int depth) {
    if (random.nextInt(WILD) == 0) {
      return wild(depth);
    }
    if (depth == 0) {
      return "(" + any(TEXTS) + ")";
    }
    return switch (random.nextInt(6)) {
      case 0 -> "(" + list(depth - 1) + any(LIST_TO_TEXT) + ")";
      case 1 -> "(" + text(depth - 1) + " if " + condition(depth - 1) + " else t)";
      default -> "(" + text(depth - 1) + any(TEXT_TO_TEXT) + ")";
    };
  }

  private String list(int depth) {
    if (random.nextInt(WILD) == 0) {
      return wild(depth);
    }
    if (depth == 0) {
      return "(" + any(random.nextInt(4) == 0 ? OF_TEXTS : LISTS) + ")";
    }
    return switch (random.nextInt(4)) {
      case 0 -> "(" + text(depth - 1) + any(TEXT_TO_LIST) + ")";
      case 1 -> "[" + expression(depth - 1) + ", " + expression(depth - 1) + "]";
      default -> "(" + list(depth - 1) + any(LIST_TO_LIST) + ")";
    };
  }

  private String number(int depth) {
    if (random.nextInt(WILD) == 0) {
      return wild(depth);
    }
    if (depth == 0) {
      return "(" + any(NUMBERS) + ")";
    }
    return random.nextInt(4) == 0
        ? "(" + number(depth - 1) + " " + any(ARITHMETIC) + " " + number(depth - 1) + ")"
        : "(" + text(depth - 1) + any(TO_NUMBER) + ")";
  }

  private String condition(int depth) {
    return depth == 0
        ? "(n > 1)"
        : switch (random.nextInt(4)) {
          case 0 -> "(" + expression(depth - 1) + " is " + any(TESTS) + ")";
          case 1 -> "(" + list(depth - 1) + " == " + list(depth - 1) + ")";
          case 2 -> "(" + text(depth - 1) + " < " + text(depth - 1) + ")";
          default -> "(" + text(depth - 1) + " " + any(COMPARISONS) + " " + text(depth - 1) + ")";
        };
  }

  static Map<String, Object> chat(Random random) {
    List<Map<String, Object>> messages = new ArrayList<>();
    for (int i = random.nextInt(6); i >= 0; i--) {
      Map<String, Object> message = new LinkedHashMap<>();
      message.put(
          "role", List.of("user", "assistant", "system", "tool", "").get(random.nextInt(5)));
      message.put("content", content(random));
      if (random.nextInt(4) == 0) {
        Map<String, Object> function = Map.of("name", "f", "arguments", Map.of("a", 1));
        message.put("tool_calls", List.of(Map.of("type", "function", "function", function)));
      }
      messages.add(message);
    }
    return Map.of(
        "messages",
        messages,
        "add_generation_prompt",
        random.nextBoolean(),
        "bos_token",
        "<s>",
        "eos_token",
        "</s>");
  }

  private static String content(Random random) {
    List<String> pieces =
        List.of(
            "Hello ",
            "</think>",
            "a",
            " ",
            "\n",
            "\u00e4\ud83d\ude00",
            "\ud800",
            "&<'\"",
            "{{ x }}",
            "1.5e3");
    return pieces
        .get(random.nextInt(pieces.size()))
        .repeat(random.nextInt(random.nextInt(20) == 0 ? 100_000 : 20));
  }
}
