package dev.lorikeet.text.jinja;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** Variables, those of the scopes around included. Assignment stays in the innermost. */
final class Scope {
  private final Map<String, Object> variables = new HashMap<>();
  private final Optional<Scope> around;

  Scope(Map<String, Object> variables) {
    this.variables.putAll(variables);
    this.around = Optional.empty();
  }

  private Scope(Scope around) {
    this.around = Optional.of(around);
  }

  Scope inner() {
    Limits.scope();
    return new Scope(this);
  }

  void set(String name, Object value) {
    variables.put(name, value);
  }

  Object get(String name) {
    for (Optional<Scope> scope = Optional.of(this); scope.isPresent(); scope = scope.get().around) {
      Limits.visit(1);
      Object value = scope.get().variables.get(name);
      if (value != null) {
        return value;
      }
    }
    return new Values.Undefined("'" + name + "' is undefined");
  }
}
