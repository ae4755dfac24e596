package dev.lorikeet.cli.view;

import dev.lorikeet.cli.console.Json;
import dev.lorikeet.model.GeneratedToken;
import java.io.PrintWriter;
import java.util.List;

/** Prints each token as one line of JSON, as it comes. */
record JsonLines(PrintWriter out, List<Sequence> sequences) implements View {
  private record TokenLine(
      String type,
      int sequence,
      String voice,
      int index,
      int id,
      String text,
      float logProbability) {}

  @Override
  public void token(int sequence, GeneratedToken token) {
    Json.printLine(
        out,
        new TokenLine(
            "token",
            sequence,
            sequences.get(sequence).voice().label(),
            token.index(),
            token.id(),
            token.text(),
            token.logProbability()));
  }
}
