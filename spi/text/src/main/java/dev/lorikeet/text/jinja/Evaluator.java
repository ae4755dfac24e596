package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Expression.Comparison;
import dev.lorikeet.text.jinja.Expression.Parameters;
import dev.lorikeet.text.jinja.Values.Callable;
import dev.lorikeet.text.jinja.Values.Tuple;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Evaluates expressions. */
final class Evaluator {
  private final Limits limits;

  Evaluator(Limits limits) {
    this.limits = limits;
  }

  Object evaluate(Expression expression, Scope scope) {
    limits.step();
    limits.enter();
    Object value = valueOf(expression, scope);
    limits.leave();
    return value;
  }

  private Object valueOf(Expression expression, Scope scope) {
    return switch (expression) {
      case Expression.Constant c -> c.value();
      case Expression.Name n -> scope.get(n.name());
      case Expression.ListOf l -> all(l.items(), scope);
      case Expression.TupleOf t -> new Tuple(all(t.items(), scope));
      case Expression.DictOf d -> dict(d, scope);
      case Expression.Negate n -> negate(evaluate(n.value(), scope));
      case Expression.Not n -> !isTrue(n.value(), scope);
      case Expression.And a -> {
        Object left = evaluate(a.left(), scope);
        yield Values.isTrue(left) ? evaluate(a.right(), scope) : left;
      }
      case Expression.Or o -> {
        Object left = evaluate(o.left(), scope);
        yield Values.isTrue(left) ? left : evaluate(o.right(), scope);
      }
      case Expression.Arithmetic a ->
          Operators.apply(a.operator(), evaluate(a.left(), scope), evaluate(a.right(), scope));
      case Expression.Concatenate c -> Methods.join(all(c.parts(), scope), "");
      case Expression.Compare c -> compare(c, scope);
      case Expression.Conditional c -> conditional(c, scope);
      case Expression.Attribute a -> attribute(evaluate(a.object(), scope), a.name());
      case Expression.Item i -> item(evaluate(i.object(), scope), evaluate(i.key(), scope));
      case Expression.Slice s ->
          Operators.slice(
              evaluate(s.object(), scope),
              bound(s.start(), scope),
              bound(s.stop(), scope),
              bound(s.step(), scope));
      case Expression.Call c -> call(evaluate(c.function(), scope), c.parameters(), scope);
      case Expression.Filter f ->
          Filters.apply(f.name(), evaluate(f.value(), scope), arguments(f.parameters(), scope));
      case Expression.Test t ->
          Tests.holds(t.name(), evaluate(t.value(), scope), arguments(t.parameters(), scope))
              != t.negated();
    };
  }

  boolean isTrue(Expression expression, Scope scope) {
    return Values.isTrue(evaluate(expression, scope));
  }

  private List<Object> all(List<Expression> expressions, Scope scope) {
    Limits.list(expressions.size());
    List<Object> values = new ArrayList<>(expressions.size());
    for (Expression expression : expressions) {
      values.add(evaluate(expression, scope));
    }
    return values;
  }

  private Map<Object, Object> dict(Expression.DictOf dict, Scope scope) {
    Limits.list(4L * dict.entries().size());
    Map<Object, Object> map = new LinkedHashMap<>();
    for (var entry : dict.entries()) {
      map.put(Values.key(evaluate(entry.getKey(), scope)), evaluate(entry.getValue(), scope));
    }
    return map;
  }

  private static Object negate(Object value) {
    if (!Values.isNumber(value)) {
      throw Values.unsupported("unary -", value, value);
    }
    return Operators.apply("*", value, -1L);
  }

  private boolean compare(Expression.Compare compare, Scope scope) {
    Object left = evaluate(compare.first(), scope);
    for (Comparison comparison : compare.comparisons()) {
      Object right = evaluate(comparison.right(), scope);
      boolean holds =
          switch (comparison.operator()) {
            case "==" -> Order.areEqual(left, right);
            case "!=" -> !Order.areEqual(left, right);
            case "<" -> Order.compare(left, right) < 0;
            case "<=" -> Order.compare(left, right) <= 0;
            case ">" -> Order.compare(left, right) > 0;
            case ">=" -> Order.compare(left, right) >= 0;
            case "in" -> Order.contains(right, left);
            default -> !Order.contains(right, left);
          };
      if (!holds) {
        return false;
      }
      left = right;
    }
    return true;
  }

  private Object conditional(Expression.Conditional conditional, Scope scope) {
    if (isTrue(conditional.condition(), scope)) {
      return evaluate(conditional.then(), scope);
    }
    Optional<Expression> otherwise = conditional.otherwise();
    return otherwise.isPresent()
        ? evaluate(otherwise.get(), scope)
        : new Undefined("the inline if-expression evaluated to false and no else was defined");
  }

  private Optional<Long> bound(Optional<Expression> bound, Scope scope) {
    return bound
        .map(expression -> evaluate(expression, scope))
        .filter(value -> !Values.isNone(value))
        .map(Values::toLong);
  }

  private Object call(Object function, Parameters parameters, Scope scope) {
    return switch (function) {
      case Callable callable -> callable.call(arguments(parameters, scope));
      case Undefined undefined -> throw Values.undefined(undefined);
      default ->
          throw JinjaException.evaluation("'" + Values.type(function) + "' object is not callable");
    };
  }

  Arguments arguments(Parameters parameters, Scope scope) {
    Map<String, Object> named = new LinkedHashMap<>();
    List<Object> positional = all(parameters.positional(), scope);
    parameters.named().forEach((name, value) -> named.put(name, evaluate(value, scope)));
    return new Arguments(positional, named);
  }

  /** {@code object.name}: an attribute, or else an item of that name. */
  static Object attribute(Object object, String name) {
    return switch (object) {
      case Undefined undefined -> throw Values.undefined(undefined);
      case Namespace namespace -> namespace.get(name);
      case LoopState loop -> loop.get(name);
      default -> {
        Optional<Callable> method = Methods.of(object, name);
        yield method.isPresent()
            ? method.get()
            : Operators.item(object, name).orElseGet(() -> missing(object, "attribute", name));
      }
    };
  }

  /** {@code object[key]}: an item, or else an attribute of that name. */
  static Object item(Object object, Object key) {
    if (object instanceof Undefined undefined) {
      throw Values.undefined(undefined);
    }
    Optional<Object> item = Operators.item(object, key);
    if (item.isPresent()) {
      return item.get();
    }
    return key instanceof String name
        ? attribute(object, name)
        : missing(object, "element", Printed.brief(key));
  }

  private static Undefined missing(Object object, String what, String name) {
    Limits.write(name.length());
    return new Undefined("'" + Values.type(object) + " object' has no " + what + " '" + name + "'");
  }
}
