package dev.lorikeet.text.jinja;

/** A piece of a template: text between tags, or a word, number, string or operator within them. */
record Token(Kind kind, String value, int line) {
  enum Kind {
    DATA,
    VARIABLE_BEGIN,
    VARIABLE_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    EOF
  }

  boolean isOperator(String symbol) {
    return kind == Kind.OPERATOR && value.equals(symbol);
  }

  boolean isName(String name) {
    return kind == Kind.NAME && value.equals(name);
  }

  String describe() {
    return switch (kind) {
      case EOF -> "the end of the template";
      case DATA -> "text";
      case BLOCK_END -> "'%}'";
      case VARIABLE_END -> "'}}'";
      default -> "'" + value + "'";
    };
  }
}
