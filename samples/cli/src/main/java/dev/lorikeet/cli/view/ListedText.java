package dev.lorikeet.cli.view;

import dev.lorikeet.cli.console.Visible;
import java.io.PrintWriter;
import java.util.List;

/** Prints the texts of several sequences one after the other, when all have ended. */
record ListedText(PrintWriter out, List<Sequence> sequences) implements View {
  @Override
  public void end(List<Outcome> outcomes) {
    int width = sequences.stream().mapToInt(s -> s.voice().label().length()).max().orElse(0);
    String prompt = "";
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      if (i == 0 || !sequence.text().equals(prompt)) {
        prompt = sequence.text();
        out.println((i == 0 ? "" : System.lineSeparator()) + "> " + Visible.oneLine(prompt));
      }
      String label = sequence.voice().label();
      out.println(label + " ".repeat(width - label.length()) + " | " + line(outcomes.get(i)));
    }
    out.flush();
  }

  private static String line(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Done(var result) -> Visible.oneLine(result.text());
      case Outcome.Failed(var failure) ->
          "failed: "
              + failure.code()
              + ": "
              + Visible.oneLine(String.valueOf(failure.getMessage()));
    };
  }
}
