package dev.lorikeet.cli;

import dev.lorikeet.model.GeneratedToken;
import java.io.PrintWriter;
import java.util.List;

/** Prints each token as one line of JSON, as it comes. */
record JsonLines(PrintWriter out, List<Sequence> sequences) implements View {
  @Override
  public void token(int sequence, GeneratedToken token) {
    Json.printLine(
        out,
        new Json.TokenLine(
            "token",
            sequence,
            sequences.get(sequence).voice().label(),
            token.index(),
            token.id(),
            token.text(),
            token.logProbability()));
  }
}
