package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Statement.FilterCall;
import dev.lorikeet.text.jinja.Statement.Parameter;
import dev.lorikeet.text.jinja.Statement.Target;
import dev.lorikeet.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Parses statements. */
final class Parser {
  private final TokenStream stream;
  private final ExpressionParser expressions;
  private int loops;

  private Parser(TokenStream stream) {
    this.stream = stream;
    this.expressions = new ExpressionParser(stream);
  }

  static List<Statement> parse(String template) {
    Parser parser = new Parser(new TokenStream(Lexer.tokenize(template)));
    List<Statement> statements = parser.body(Set.of());
    if (parser.stream.peek().kind() != Kind.EOF) {
      throw parser.stream.unexpected("the end of the template");
    }
    return statements;
  }

  /** Statements up to a tag of one of these names, whose name is then the next token. */
  private List<Statement> body(Set<String> ends) {
    List<Statement> statements = new ArrayList<>();
    stream.enter();
    while (stream.peek().kind() != Kind.EOF) {
      if (stream.peek().kind() == Kind.DATA) {
        statements.add(new Statement.Text(stream.next().value()));
      } else if (stream.peek().kind() == Kind.VARIABLE_BEGIN) {
        stream.next();
        statements.add(new Statement.Output(expressions.tuple(true)));
        stream.expect(Kind.VARIABLE_END, "'}}'");
      } else {
        stream.expect(Kind.BLOCK_BEGIN, "'{%'");
        if (ends.contains(stream.peek().value())) {
          stream.leave();
          return statements;
        }
        statements.add(statement());
        stream.expect(Kind.BLOCK_END, "'%}'");
      }
    }
    if (!ends.isEmpty()) {
      throw stream.unexpected("one of " + ends.stream().sorted().toList());
    }
    stream.leave();
    return statements;
  }

  /** A body between this tag's border and an end tag, whose name is taken. */
  private List<Statement> block(String end) {
    stream.expect(Kind.BLOCK_END, "'%}'");
    List<Statement> statements = body(Set.of(end));
    stream.next();
    return statements;
  }

  private Statement statement() {
    Token token = stream.peek();
    String name = stream.expectName();
    return switch (name) {
      case "if" -> ifStatement();
      case "for" -> forStatement();
      case "set" -> set();
      case "macro" -> macro();
      case "filter" -> {
        List<FilterCall> filters = new ArrayList<>(List.of(filterCall()));
        moreFilters(filters);
        yield new Statement.FilterBlock(filters, block("endfilter"));
      }
      case "with" -> with();
      case "generation" -> new Statement.Generation(block("endgeneration"));
      case "break", "continue" -> {
        if (loops == 0) {
          throw JinjaException.syntax(token.line(), "expected a loop around '" + name + "'");
        }
        yield name.equals("break") ? new Statement.Break() : new Statement.Continue();
      }
      default ->
          throw JinjaException.syntax(
              token.line(), "expected a supported statement, found '" + name + "'");
    };
  }

  private Statement ifStatement() {
    Expression condition = expressions.tuple(false);
    stream.expect(Kind.BLOCK_END, "'%}'");
    List<Statement> then = body(Set.of("elif", "else", "endif"));
    String end = stream.next().value();
    List<Statement> otherwise =
        switch (end) {
          case "elif" -> {
            stream.enter();
            Statement chained = ifStatement();
            stream.leave();
            yield List.of(chained);
          }
          case "else" -> block("endif");
          default -> List.of();
        };
    return new Statement.If(condition, then, otherwise);
  }

  private Statement forStatement() {
    Target target = target();
    if (!stream.takeName("in")) {
      throw stream.unexpected("'in'");
    }
    Expression items = expressions.tuple(false);
    Optional<Expression> condition =
        stream.takeName("if") ? Optional.of(expressions.expression()) : Optional.empty();
    if (stream.peek().isName("recursive")) {
      throw stream.unexpected("no recursive loop, which is not supported");
    }
    stream.expect(Kind.BLOCK_END, "'%}'");
    loops++;
    List<Statement> body = body(Set.of("else", "endfor"));
    loops--;
    List<Statement> otherwise = stream.next().value().equals("else") ? block("endfor") : List.of();
    return new Statement.For(target, items, condition, body, otherwise);
  }

  private Target target() {
    List<Target> targets = new ArrayList<>(List.of(singleTarget()));
    boolean comma = false;
    while (stream.takeOperator(",")) {
      comma = true;
      if (stream.peek().kind() != Kind.NAME && !stream.peek().isOperator("(")) {
        break;
      }
      targets.add(singleTarget());
    }
    return comma ? new Target.Unpacked(targets) : targets.getFirst();
  }

  private Target singleTarget() {
    if (stream.takeOperator("(")) {
      stream.enter();
      Target inner = target();
      stream.leave();
      stream.expectOperator(")");
      return inner;
    }
    String name = stream.expectName();
    return stream.takeOperator(".")
        ? new Target.NamespaceAttribute(name, stream.expectName())
        : new Target.Variable(name);
  }

  private Statement set() {
    Target target = target();
    if (stream.takeOperator("=")) {
      return new Statement.Set(target, expressions.tuple(true));
    }
    List<FilterCall> filters = new ArrayList<>();
    moreFilters(filters);
    return new Statement.SetBlock(target, filters, block("endset"));
  }

  private void moreFilters(List<FilterCall> filters) {
    while (stream.takeOperator("|")) {
      filters.add(filterCall());
    }
  }

  private FilterCall filterCall() {
    String name = Filters.checked(expressions.dottedName(), stream);
    return new FilterCall(name, expressions.optionalParameters());
  }

  private Statement with() {
    List<Statement.Set> variables = new ArrayList<>();
    while (stream.peek().kind() != Kind.BLOCK_END) {
      if (!variables.isEmpty()) {
        stream.expectOperator(",");
      }
      Target target = new Target.Variable(stream.expectName());
      stream.expectOperator("=");
      variables.add(new Statement.Set(target, expressions.expression()));
    }
    return new Statement.With(variables, block("endwith"));
  }

  private Statement macro() {
    String name = stream.expectName();
    stream.expectOperator("(");
    List<Parameter> parameters = new ArrayList<>();
    while (!stream.takeOperator(")")) {
      if (!parameters.isEmpty()) {
        stream.expectOperator(",");
      }
      String parameter = stream.expectName();
      Optional<Expression> whenAbsent =
          stream.takeOperator("=") ? Optional.of(expressions.expression()) : Optional.empty();
      parameters.add(new Parameter(parameter, whenAbsent));
    }
    int outer = loops;
    loops = 0;
    List<Statement> body = block("endmacro");
    loops = outer;
    return new Statement.Macro(name, parameters, body);
  }
}
