package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.JinjaException.Kind;
import dev.lorikeet.text.jinja.Values.Callable;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/*
 * Why not a library: Jinjava 2.8.4, the JVM's best known, silently gives other text than Jinja2
 * for `not x is defined` and for some white space, knows no slices with steps and no filter
 * blocks, and reaches into Java objects by reflection. A wrong prompt is an error that nobody
 * sees. The part of Jinja2 that chat templates use is small, and what is not supported is refused
 * when parsing.
 */

/**
 * A template in Jinja2's language, parsed once and rendered any number of times, by any number of
 * threads, as {@code ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)} renders
 * it with transformers' additions: {@code tojson} without HTML escapes, {@code raise_exception},
 * {@code strftime_now}, {@code break}, {@code continue} and {@code generation}.
 *
 * <p>Not supported, and refused when parsing: inheritance, includes, imports, {@code call} blocks,
 * recursive loops, starred arguments, and filters beyond the usual ones. Templates are untrusted:
 * steps, nesting and the length of texts and lists are bounded.
 */
public final class JinjaTemplate {
  private static final long MAX_RANGE = 100_000;
  private static final long DATE_WORK = 10_000;

  private final List<Statement> statements;
  private final Clock clock;

  private JinjaTemplate(List<Statement> statements, Clock clock) {
    this.statements = statements;
    this.clock = clock;
  }

  /**
   * Parses a template.
   *
   * @throws JinjaException of kind {@code SYNTAX}
   */
  public static JinjaTemplate parse(String template) {
    return parse(template, Clock.system(ZoneId.systemDefault()));
  }

  /** Parses a template that takes the time from a clock. */
  static JinjaTemplate parse(String template, Clock clock) {
    return new JinjaTemplate(Parser.parse(template), clock);
  }

  /**
   * Renders the template.
   *
   * @param variables strings, booleans, integers, doubles, lists of such and maps from strings to
   *     such, in which a null is Python's None
   * @throws JinjaException where the template fails, refuses its input or goes beyond its limits
   */
  public String render(Map<String, Object> variables) {
    return render(variables, () -> {});
  }

  /**
   * Renders the template as {@link #render(Map)} does.
   *
   * @param pulse called every few milliseconds while the rendering goes on; what it throws ends it
   */
  public String render(Map<String, Object> variables, Runnable pulse) {
    return render(variables, new Limits(System::nanoTime, pulse));
  }

  String render(Map<String, Object> variables, Limits limits) {
    try {
      return limits.during(() -> render(names(variables)));
    } catch (StackOverflowError e) {
      throw JinjaException.limit("expected less nesting");
    }
  }

  private String render(Scope scope) {
    return new Renderer().render(statements, scope);
  }

  private Scope names(Map<String, Object> variables) {
    Map<String, Object> names = new HashMap<>();
    names.put("namespace", (Callable) Namespace::new);
    names.put("dict", (Callable) JinjaTemplate::dict);
    names.put("range", (Callable) JinjaTemplate::range);
    names.put("raise_exception", (Callable) JinjaTemplate::raise);
    names.put("strftime_now", (Callable) arguments -> now(arguments.text(0, "format")));
    names.put("tools", Values.NONE);
    names.put("documents", Values.NONE);
    variables.forEach((name, value) -> names.put(name, plain(value)));
    return new Scope(names);
  }

  private static Object plain(@Nullable Object value) {
    return switch (value) {
      case null -> Values.NONE;
      case String s -> s;
      case Boolean b -> b;
      case Integer i -> i.longValue();
      case Long l -> l;
      case Double d -> d;
      case List<?> list -> list.stream().map(JinjaTemplate::plain).toList();
      case Map<?, ?> map -> {
        Map<Object, Object> copy = new LinkedHashMap<>();
        map.forEach((key, item) -> copy.put(String.valueOf(key), plain(item)));
        yield copy;
      }
      default ->
          throw new IllegalArgumentException(
              "variables: expected plain data, found " + value.getClass());
    };
  }

  private static Object dict(Arguments arguments) {
    Limits.list(4L * arguments.named().size());
    return new LinkedHashMap<Object, Object>(arguments.named());
  }

  private static Object range(Arguments arguments) {
    long first = Values.toLong(arguments.atMost(3).require(0, "start"));
    boolean single = arguments.positional().size() == 1;
    long start = single ? 0 : first;
    long stop = single ? first : arguments.integer(1, "stop", 0);
    long step = arguments.integer(2, "step", 1);
    if (step == 0) {
      throw JinjaException.evaluation("range() arg 3 must not be zero");
    }
    List<Object> numbers = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; ) {
      if (numbers.size() == MAX_RANGE) {
        throw JinjaException.limit("expected a range of at most " + MAX_RANGE);
      }
      Limits.list(1);
      numbers.add(i);
      long next = i + step;
      if (next > i != step > 0) {
        break;
      }
      i = next;
    }
    return numbers;
  }

  private static Object raise(Arguments arguments) {
    throw new JinjaException(Kind.RAISED, Printed.text(arguments.require(0, "message")));
  }

  /** {@code datetime.now().strftime(format)} in the C locale. */
  private String now(String format) {
    LocalDateTime now = LocalDateTime.now(clock);
    TextWriter out = new TextWriter();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      char directive = format.charAt(++i);
      String pattern =
          switch (directive) {
            case 'd' -> "dd";
            case 'm' -> "MM";
            case 'b' -> "MMM";
            case 'B' -> "MMMM";
            case 'y' -> "uu";
            case 'Y' -> "uuuu";
            case 'H' -> "HH";
            case 'I' -> "hh";
            case 'M' -> "mm";
            case 'S' -> "ss";
            case 'p' -> "a";
            case 'a' -> "EEE";
            case 'A' -> "EEEE";
            case 'j' -> "DDD";
            case '%' -> "'%'";
            default ->
                throw JinjaException.evaluation(
                    "strftime_now: %" + directive + " is not supported");
          };
      Limits.read(DATE_WORK);
      out.append(DateTimeFormatter.ofPattern(pattern, Locale.US).format(now));
    }
    return out.toString();
  }
}
