package dev.lorikeet.cli.view;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.routing.Mixture;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jline.terminal.Terminal;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStyle;

/**
 * Shows by which adapter each token was produced, the one of the largest weight: by colour with a
 * legend in a terminal, by a tag in brackets where the adapter changes elsewhere. A single sequence
 * streams; several come one after the other when all have ended.
 */
final class RoutedText implements View {
  private static final String BASE = "base";

  private final PrintWriter out;
  private final Optional<Terminal> terminal;
  private final boolean colours;
  private final List<Sequence> sequences;
  private final List<String> adapters;
  private final List<List<Piece>> pieces = new ArrayList<>();
  private String shown = "";

  /** Text that one adapter, or the base model, produced. */
  private record Piece(String adapter, String text) {}

  /**
   * Creates a view.
   *
   * @param out where to print without a terminal
   * @param terminal where to print, closed with this view
   * @param colours whether a terminal gets colours
   * @param adapters the adapters in the order of their colours
   */
  RoutedText(
      PrintWriter out,
      Optional<Terminal> terminal,
      boolean colours,
      List<Sequence> sequences,
      List<String> adapters) {
    this.out = terminal.map(Terminal::writer).orElse(out);
    this.terminal = terminal;
    this.colours = colours && terminal.isPresent();
    this.sequences = sequences;
    this.adapters = adapters;
    sequences.forEach(sequence -> pieces.add(new ArrayList<>()));
    if (this.colours) {
      StringBuilder legend = new StringBuilder(coloured(BASE, BASE));
      adapters.forEach(name -> legend.append("  ").append(coloured(name, Visible.oneLine(name))));
      this.out.println(legend);
    }
    if (sequences.size() == 1) {
      begin(0);
    }
  }

  @Override
  public void token(int sequence, GeneratedToken token) {
    Piece piece = new Piece(producer(token), Visible.text(token.text()));
    pieces.get(sequence).add(piece);
    if (sequences.size() == 1) {
      print(piece);
    }
  }

  /** Returns the adapter of the largest weight, by its size. */
  private static String producer(GeneratedToken token) {
    return token.mixture().orElse(Mixture.none()).shares().stream()
        .filter(share -> share.weight() != 0)
        .max(Comparator.comparingDouble(share -> Math.abs(share.weight())))
        .map(Mixture.Share::adapter)
        .orElse(BASE);
  }

  @Override
  public void refresh() {
    out.flush();
  }

  @Override
  public void end(List<Outcome> outcomes) {
    for (int i = 0; i < sequences.size(); i++) {
      if (sequences.size() > 1) {
        begin(i);
        pieces.get(i).forEach(this::print);
      }
      if (outcomes.get(i) instanceof Outcome.Failed(var failure)) {
        out.print(" [" + failure.code() + "]");
      }
      out.println();
    }
    out.flush();
  }

  private void begin(int sequence) {
    shown = "";
    String prompt = Visible.oneLine(sequences.get(sequence).text());
    out.println("> " + prompt);
  }

  private void print(Piece piece) {
    if (piece.text().isEmpty()) {
      return;
    }
    if (colours) {
      out.print(coloured(piece.adapter(), piece.text()));
    } else if (!piece.adapter().equals(shown)) {
      out.print("[" + Visible.oneLine(piece.adapter()) + "]" + piece.text());
    } else {
      out.print(piece.text());
    }
    shown = piece.adapter();
  }

  private String coloured(String adapter, String text) {
    int index = adapters.indexOf(adapter);
    return new AttributedString(
            text, index < 0 ? AttributedStyle.DEFAULT : Columns.colour(index + 1))
        .toAnsi(terminal.orElse(null));
  }

  @Override
  public void close() {
    terminal.ifPresent(Console::release);
  }
}
