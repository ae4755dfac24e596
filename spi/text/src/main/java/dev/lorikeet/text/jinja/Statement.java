package dev.lorikeet.text.jinja;

import java.util.List;
import java.util.Optional;

/** A statement of a template. */
sealed interface Statement {
  record Text(String text) implements Statement {}

  record Output(Expression value) implements Statement {}

  record If(Expression condition, List<Statement> then, List<Statement> otherwise)
      implements Statement {}

  record For(
      Target target,
      Expression items,
      Optional<Expression> condition,
      List<Statement> body,
      List<Statement> otherwise)
      implements Statement {}

  record Break() implements Statement {}

  record Continue() implements Statement {}

  record Set(Target target, Expression value) implements Statement {}

  /** {@code set} around text; the filters come in the order they apply. */
  record SetBlock(Target target, List<FilterCall> filters, List<Statement> body)
      implements Statement {}

  record FilterBlock(List<FilterCall> filters, List<Statement> body) implements Statement {}

  record With(List<Set> variables, List<Statement> body) implements Statement {}

  /**
   * {@code generation}: transformers marks what the assistant said with it; the text is the same.
   */
  record Generation(List<Statement> body) implements Statement {}

  record Macro(String name, List<Parameter> parameters, List<Statement> body)
      implements Statement {}

  record Parameter(String name, Optional<Expression> whenAbsent) {}

  record FilterCall(String name, Expression.Parameters parameters) {}

  /** What is assigned to. */
  sealed interface Target {
    record Variable(String name) implements Target {}

    /** {@code namespace.attribute}. */
    record NamespaceAttribute(String namespace, String attribute) implements Target {}

    record Unpacked(List<Target> targets) implements Target {}
  }
}
