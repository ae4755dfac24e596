package dev.lorikeet.cli.view;

import dev.lorikeet.model.GeneratedToken;
import java.io.PrintWriter;
import java.util.List;
import java.util.function.UnaryOperator;

/** Prints the text of a single sequence as it comes. */
record StreamedText(PrintWriter out, UnaryOperator<String> filter) implements View {
  @Override
  public void token(int sequence, GeneratedToken token) {
    out.print(filter.apply(token.text()));
  }

  @Override
  public void refresh() {
    out.flush();
  }

  @Override
  public void end(List<Outcome> outcomes) {
    out.println();
    out.flush();
  }
}
