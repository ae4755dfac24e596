package dev.lorikeet.text.jinja;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/** An expression of a template. */
sealed interface Expression {
  record Constant(Object value) implements Expression {}

  record Name(String name) implements Expression {}

  record ListOf(List<Expression> items) implements Expression {}

  record TupleOf(List<Expression> items) implements Expression {}

  record DictOf(List<Map.Entry<Expression, Expression>> entries) implements Expression {}

  record Negate(Expression value) implements Expression {}

  record Not(Expression value) implements Expression {}

  record And(Expression left, Expression right) implements Expression {}

  record Or(Expression left, Expression right) implements Expression {}

  record Arithmetic(String operator, Expression left, Expression right) implements Expression {}

  record Concatenate(List<Expression> parts) implements Expression {}

  /** {@code first op1 second op2 third}: all must hold. */
  record Compare(Expression first, List<Comparison> comparisons) implements Expression {}

  record Comparison(String operator, Expression right) {}

  record Conditional(Expression condition, Expression then, Optional<Expression> otherwise)
      implements Expression {}

  /** {@code object.name}. */
  record Attribute(Expression object, String name) implements Expression {}

  /** {@code object[key]}. */
  record Item(Expression object, Expression key) implements Expression {}

  /** {@code object[start:stop:step]}. */
  record Slice(
      Expression object,
      Optional<Expression> start,
      Optional<Expression> stop,
      Optional<Expression> step)
      implements Expression {}

  record Call(Expression function, Parameters parameters) implements Expression {}

  record Filter(Expression value, String name, Parameters parameters) implements Expression {}

  record Test(Expression value, String name, Parameters parameters, boolean negated)
      implements Expression {}

  /** What a call passes. */
  record Parameters(List<Expression> positional, Map<String, Expression> named) {
    static final Parameters NONE = new Parameters(List.of(), Map.of());
  }
}
