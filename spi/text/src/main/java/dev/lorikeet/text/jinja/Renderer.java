package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Statement.FilterCall;
import dev.lorikeet.text.jinja.Statement.Target;
import dev.lorikeet.text.jinja.Values.Callable;
import java.util.ArrayList;
import java.util.List;

/** Executes statements, once. */
final class Renderer {
  private enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  private final Limits limits = Limits.current();
  private final Evaluator evaluator = new Evaluator(limits);
  private int loopDepth;

  String render(List<Statement> statements, Scope scope) {
    TextWriter out = new TextWriter();
    execute(statements, scope, out);
    return out.toString();
  }

  private Flow execute(List<Statement> statements, Scope scope, TextWriter out) {
    limits.enter();
    Flow flow = Flow.NEXT;
    for (int i = 0; i < statements.size() && flow == Flow.NEXT; i++) {
      flow = execute(statements.get(i), scope, out);
    }
    limits.leave();
    return flow;
  }

  private Flow execute(Statement statement, Scope scope, TextWriter out) {
    limits.step();
    switch (statement) {
      case Statement.Text text -> out.append(text.text());
      case Statement.Output output ->
          out.append(Printed.text(evaluator.evaluate(output.value(), scope)));
      case Statement.If branch -> {
        boolean holds = evaluator.isTrue(branch.condition(), scope);
        return execute(holds ? branch.then() : branch.otherwise(), scope, out);
      }
      case Statement.For loop -> {
        return loop(loop, scope, out);
      }
      case Statement.Break b -> {
        return Flow.BREAK;
      }
      case Statement.Continue c -> {
        return Flow.CONTINUE;
      }
      case Statement.Set set -> assign(set.target(), evaluator.evaluate(set.value(), scope), scope);
      case Statement.SetBlock set ->
          assign(set.target(), filtered(set.filters(), set.body(), scope), scope);
      case Statement.FilterBlock block ->
          out.append(Printed.text(filtered(block.filters(), block.body(), scope)));
      case Statement.With with -> {
        Scope inner = scope.inner();
        for (Statement.Set set : with.variables()) {
          assign(set.target(), evaluator.evaluate(set.value(), scope), inner);
        }
        return execute(with.body(), inner, out);
      }
      case Statement.Generation generation -> {
        return execute(generation.body(), scope.inner(), out);
      }
      case Statement.Macro macro -> scope.set(macro.name(), callable(macro, scope));
    }
    return Flow.NEXT;
  }

  private Flow loop(Statement.For loop, Scope scope, TextWriter out) {
    List<Object> items = Values.items(evaluator.evaluate(loop.items(), scope));
    if (loop.condition().isPresent()) {
      List<Object> chosen = new ArrayList<>();
      for (Object item : items) {
        Scope inner = scope.inner();
        assign(loop.target(), item, inner);
        if (evaluator.isTrue(loop.condition().get(), inner)) {
          Limits.list(1);
          chosen.add(item);
        }
      }
      items = chosen;
    }
    if (items.isEmpty()) {
      return execute(loop.otherwise(), scope.inner(), out);
    }
    LoopState state = new LoopState(items, loopDepth++);
    try {
      for (int i = 0; i < items.size(); i++) {
        limits.step();
        state.at(i);
        Scope inner = scope.inner();
        inner.set("loop", state);
        assign(loop.target(), items.get(i), inner);
        if (execute(loop.body(), inner, out) == Flow.BREAK) {
          break;
        }
      }
    } finally {
      loopDepth--;
    }
    return Flow.NEXT;
  }

  private void assign(Target target, Object value, Scope scope) {
    switch (target) {
      case Target.Variable variable -> scope.set(variable.name(), value);
      case Target.NamespaceAttribute attribute -> {
        if (!(scope.get(attribute.namespace()) instanceof Namespace namespace)) {
          throw JinjaException.evaluation(
              "cannot assign attribute on non-namespace object '" + attribute.namespace() + "'");
        }
        namespace.set(attribute.attribute(), value);
      }
      case Target.Unpacked unpacked -> {
        List<Object> parts = Values.items(value);
        if (parts.size() != unpacked.targets().size()) {
          throw JinjaException.evaluation(
              "expected " + unpacked.targets().size() + " values to unpack, found " + parts.size());
        }
        for (int i = 0; i < parts.size(); i++) {
          assign(unpacked.targets().get(i), parts.get(i), scope);
        }
      }
    }
  }

  private Object filtered(List<FilterCall> filters, List<Statement> body, Scope scope) {
    TextWriter text = new TextWriter();
    execute(body, scope.inner(), text);
    Object value = text.toString();
    for (FilterCall filter : filters) {
      value = Filters.apply(filter.name(), value, evaluator.arguments(filter.parameters(), scope));
    }
    return value;
  }

  private Callable callable(Statement.Macro macro, Scope scope) {
    return arguments -> {
      List<Statement.Parameter> parameters = macro.parameters();
      String[] names = parameters.stream().map(Statement.Parameter::name).toArray(String[]::new);
      arguments.atMost(names.length, names);
      limits.enterMacro();
      Limits.visit(2L * names.length);
      try {
        Scope inner = scope.inner();
        for (int i = 0; i < names.length; i++) {
          Object value = arguments.get(i, names[i]).orElse(Values.NONE);
          if (arguments.get(i, names[i]).isEmpty()) {
            value =
                parameters
                    .get(i)
                    .whenAbsent()
                    .map(expression -> evaluator.evaluate(expression, inner))
                    .orElse(new Values.Undefined("parameter '" + names[i] + "' was not provided"));
          }
          inner.set(names[i], value);
        }
        TextWriter out = new TextWriter();
        execute(macro.body(), inner, out);
        return out.toString();
      } finally {
        limits.leaveMacro();
      }
    };
  }
}
