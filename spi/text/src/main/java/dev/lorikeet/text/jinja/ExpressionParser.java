package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Expression.Arithmetic;
import dev.lorikeet.text.jinja.Expression.Comparison;
import dev.lorikeet.text.jinja.Expression.Constant;
import dev.lorikeet.text.jinja.Expression.Parameters;
import dev.lorikeet.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Parses expressions, one method per level of Jinja2's precedence (parser.py). */
final class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> NO_ARGUMENT = Set.of("else", "or", "and");

  private final TokenStream stream;

  ExpressionParser(TokenStream stream) {
    this.stream = stream;
  }

  /** An expression, or several with commas between, which are a tuple. */
  Expression tuple(boolean conditional) {
    List<Expression> items = new ArrayList<>();
    boolean comma = false;
    while (!endsTuple()) {
      items.add(conditional ? expression() : or());
      if (!stream.takeOperator(",")) {
        break;
      }
      comma = true;
    }
    if (items.isEmpty()) {
      throw stream.unexpected("an expression");
    }
    return comma ? new Expression.TupleOf(items) : items.getFirst();
  }

  private boolean endsTuple() {
    Token token = stream.peek();
    return token.kind() == Kind.VARIABLE_END
        || token.kind() == Kind.BLOCK_END
        || token.isOperator(")");
  }

  Expression expression() {
    stream.enter();
    Expression value = or();
    int chained = 0;
    while (stream.takeName("if")) {
      stream.chain(++chained);
      Expression condition = or();
      Optional<Expression> otherwise =
          stream.takeName("else") ? Optional.of(expression()) : Optional.empty();
      value = new Expression.Conditional(condition, value, otherwise);
    }
    stream.leave();
    return value;
  }

  Expression or() {
    Expression left = and();
    int chained = 0;
    while (stream.takeName("or")) {
      stream.chain(++chained);
      left = new Expression.Or(left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    int chained = 0;
    while (stream.takeName("and")) {
      stream.chain(++chained);
      left = new Expression.And(left, not());
    }
    return left;
  }

  private Expression not() {
    if (!stream.takeName("not")) {
      return comparison();
    }
    stream.enter();
    Expression negated = new Expression.Not(not());
    stream.leave();
    return negated;
  }

  private Expression comparison() {
    Expression first = sum();
    List<Comparison> comparisons = new ArrayList<>();
    while (true) {
      Token token = stream.peek();
      if (token.kind() == Kind.OPERATOR && COMPARISONS.contains(token.value())) {
        stream.next();
        comparisons.add(new Comparison(token.value(), sum()));
      } else if (stream.takeName("in")) {
        comparisons.add(new Comparison("in", sum()));
      } else if (token.isName("not") && stream.peekSecond().isName("in")) {
        stream.next();
        stream.next();
        comparisons.add(new Comparison("not in", sum()));
      } else {
        return comparisons.isEmpty() ? first : new Expression.Compare(first, comparisons);
      }
    }
  }

  private Expression sum() {
    Expression left = concatenation();
    int chained = 0;
    while (stream.peek().isOperator("+") || stream.peek().isOperator("-")) {
      stream.chain(++chained);
      left = new Arithmetic(stream.next().value(), left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    List<Expression> parts = new ArrayList<>(List.of(product()));
    while (stream.takeOperator("~")) {
      parts.add(product());
    }
    return parts.size() == 1 ? parts.getFirst() : new Expression.Concatenate(parts);
  }

  private Expression product() {
    Expression left = power();
    int chained = 0;
    while (stream.peek().isOperator("*")
        || stream.peek().isOperator("/")
        || stream.peek().isOperator("//")
        || stream.peek().isOperator("%")) {
      stream.chain(++chained);
      left = new Arithmetic(stream.next().value(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    int chained = 0;
    while (stream.takeOperator("**")) {
      stream.chain(++chained);
      left = new Arithmetic("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    stream.enter();
    Expression value;
    if (stream.takeOperator("-")) {
      value = new Expression.Negate(unary(false));
    } else if (stream.takeOperator("+")) {
      value = unary(false);
    } else {
      value = primary();
    }
    value = postfix(value);
    if (withFilters) {
      value = filters(value);
    }
    stream.leave();
    return value;
  }

  private Expression primary() {
    return switch (stream.peek().kind()) {
      case NAME -> {
        String name = stream.next().value();
        yield switch (name) {
          case "true", "True" -> new Constant(true);
          case "false", "False" -> new Constant(false);
          case "none", "None" -> new Constant(Values.NONE);
          default -> new Expression.Name(name);
        };
      }
      case STRING -> {
        StringBuilder text = new StringBuilder();
        while (stream.peek().kind() == Kind.STRING) {
          text.append(stream.next().value());
        }
        yield new Constant(text.toString());
      }
      case INTEGER -> integer(stream.next());
      case FLOAT -> new Constant(Double.parseDouble(stream.next().value()));
      default -> bracketed();
    };
  }

  private Expression bracketed() {
    if (stream.takeOperator("(")) {
      return parenthesized();
    }
    if (stream.takeOperator("[")) {
      return new Expression.ListOf(items("]"));
    }
    if (stream.takeOperator("{")) {
      return dict();
    }
    throw stream.unexpected("an expression");
  }

  private static Expression integer(Token token) {
    try {
      return new Constant(Long.parseLong(token.value()));
    } catch (NumberFormatException e) {
      throw JinjaException.syntax(token.line(), "expected an integer of 64 bits");
    }
  }

  private Expression parenthesized() {
    if (stream.takeOperator(")")) {
      return new Expression.TupleOf(List.of());
    }
    Expression value = tuple(true);
    stream.expectOperator(")");
    return value;
  }

  private List<Expression> items(String end) {
    List<Expression> items = new ArrayList<>();
    while (!stream.takeOperator(end)) {
      if (!items.isEmpty()) {
        stream.expectOperator(",");
        if (stream.takeOperator(end)) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expression dict() {
    List<Map.Entry<Expression, Expression>> entries = new ArrayList<>();
    while (!stream.takeOperator("}")) {
      if (!entries.isEmpty()) {
        stream.expectOperator(",");
        if (stream.takeOperator("}")) {
          break;
        }
      }
      Expression key = expression();
      stream.expectOperator(":");
      entries.add(Map.entry(key, expression()));
    }
    return new Expression.DictOf(entries);
  }

  private Expression postfix(Expression start) {
    Expression value = start;
    for (int chained = 0; true; chained++) {
      stream.chain(chained);
      if (stream.takeOperator(".")) {
        Token name = stream.next();
        value =
            switch (name.kind()) {
              case NAME -> new Expression.Attribute(value, name.value());
              case INTEGER -> new Expression.Item(value, integer(name));
              default ->
                  throw JinjaException.syntax(
                      name.line(), "expected a name after '.', found " + name.describe());
            };
      } else if (stream.takeOperator("[")) {
        value = subscript(value);
      } else if (stream.peek().isOperator("(")) {
        value = new Expression.Call(value, parameters());
      } else {
        return value;
      }
    }
  }

  private Expression subscript(Expression object) {
    Optional<Expression> start =
        stream.peek().isOperator(":") ? Optional.empty() : Optional.of(expression());
    if (!stream.takeOperator(":")) {
      stream.expectOperator("]");
      return new Expression.Item(object, start.orElseThrow());
    }
    Optional<Expression> stop = sliceBound();
    Optional<Expression> step = stream.takeOperator(":") ? sliceBound() : Optional.empty();
    stream.expectOperator("]");
    return new Expression.Slice(object, start, stop, step);
  }

  private Optional<Expression> sliceBound() {
    return stream.peek().isOperator(":") || stream.peek().isOperator("]")
        ? Optional.empty()
        : Optional.of(expression());
  }

  private Expression filters(Expression start) {
    Expression value = start;
    for (int chained = 0; true; chained++) {
      stream.chain(chained);
      if (stream.takeOperator("|")) {
        String name = dottedName();
        value = new Expression.Filter(value, Filters.checked(name, stream), optionalParameters());
      } else if (stream.takeName("is")) {
        value = test(value);
      } else if (stream.peek().isOperator("(")) {
        value = new Expression.Call(value, parameters());
      } else {
        return value;
      }
    }
  }

  String dottedName() {
    StringBuilder name = new StringBuilder(stream.expectName());
    while (stream.takeOperator(".")) {
      name.append('.').append(stream.expectName());
    }
    return name.toString();
  }

  private Expression test(Expression value) {
    boolean negated = stream.takeName("not");
    String name = Tests.checked(dottedName(), stream);
    Parameters parameters = Parameters.NONE;
    Token token = stream.peek();
    if (token.isOperator("(")) {
      parameters = parameters();
    } else if (beginsArgument(token)) {
      if (token.isName("is")) {
        throw stream.unexpected("no second test");
      }
      parameters = new Parameters(List.of(postfix(primary())), Map.of());
    }
    return new Expression.Test(value, name, parameters, negated);
  }

  private static boolean beginsArgument(Token token) {
    return switch (token.kind()) {
      case STRING, INTEGER, FLOAT -> true;
      case NAME -> !NO_ARGUMENT.contains(token.value());
      default -> token.isOperator("[") || token.isOperator("{");
    };
  }

  Parameters optionalParameters() {
    return stream.peek().isOperator("(") ? parameters() : Parameters.NONE;
  }

  private Parameters parameters() {
    stream.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    boolean first = true;
    while (!stream.takeOperator(")")) {
      if (!first) {
        stream.expectOperator(",");
        if (stream.takeOperator(")")) {
          break;
        }
      }
      first = false;
      if (stream.peek().kind() == Kind.NAME && stream.peekSecond().isOperator("=")) {
        String name = stream.expectName();
        stream.expectOperator("=");
        named.put(name, expression());
      } else if (named.isEmpty()) {
        positional.add(expression());
      } else {
        throw stream.unexpected("a named argument after a named one");
      }
    }
    return new Parameters(positional, named);
  }
}
