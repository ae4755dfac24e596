package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Token.Kind;
import java.util.List;

/** Tokens with a place in them; what both parsers share. */
final class TokenStream {
  private static final int DEEPEST = 200;
  private static final int LONGEST_CHAIN = 300;

  private final List<Token> tokens;
  private int at;
  private int depth;

  TokenStream(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(at);
  }

  Token peekSecond() {
    return tokens.get(Math.min(at + 1, tokens.size() - 1));
  }

  Token next() {
    Token token = tokens.get(at);
    if (token.kind() != Kind.EOF) {
      at++;
    }
    return token;
  }

  boolean takeOperator(String symbol) {
    if (peek().isOperator(symbol)) {
      at++;
      return true;
    }
    return false;
  }

  boolean takeName(String name) {
    if (peek().isName(name)) {
      at++;
      return true;
    }
    return false;
  }

  void expectOperator(String symbol) {
    if (!takeOperator(symbol)) {
      throw unexpected("'" + symbol + "'");
    }
  }

  String expectName() {
    return expect(Kind.NAME, "a name").value();
  }

  Token expect(Kind kind, String expected) {
    if (peek().kind() != kind) {
      throw unexpected(expected);
    }
    return next();
  }

  JinjaException unexpected(String expected) {
    return JinjaException.syntax(
        peek().line(), "expected " + expected + ", found " + peek().describe());
  }

  /** Counts nesting, so that a hostile template cannot exhaust the stack. */
  void enter() {
    if (++depth > DEEPEST) {
      throw JinjaException.syntax(peek().line(), "expected at most " + DEEPEST + " levels");
    }
  }

  /** Holds what follows one another to a length, as it is evaluated from within one another. */
  void chain(int length) {
    if (length > LONGEST_CHAIN) {
      throw JinjaException.syntax(
          peek().line(), "expected at most " + LONGEST_CHAIN + " operators in a row");
    }
  }

  void leave() {
    depth--;
  }
}
