package dev.lorikeet.cli.view;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.Visible;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jline.terminal.Terminal;

/** Chooses how a batch is shown. */
public final class Views {
  private static final View NONE = new View() {};

  private Views() {}

  /**
   * Returns the view for an output.
   *
   * @param voices how many voices each prompt has
   * @param json whether the output is JSON
   * @param stream whether JSON shows each token as it comes
   */
  public static View choose(
      Console console, List<Sequence> sequences, int voices, boolean json, boolean stream) {
    if (json) {
      return stream ? new JsonLines(console.out(), sequences) : NONE;
    }
    Optional<Terminal> terminal = console.terminals().get();
    boolean single = sequences.size() == 1;
    if (terminal.isPresent() && !single && Columns.fit(terminal.get(), voices)) {
      return new Columns(terminal.get(), console.colours(), sequences, voices);
    }
    terminal.ifPresent(Console::release);
    if (single) {
      return new StreamedText(
          console.out(), terminal.isPresent() ? Visible::text : UnaryOperator.identity());
    }
    return new ListedText(console.out(), sequences);
  }

  /** Returns the view that shows which adapter produced each token. */
  public static View byAdapter(Console console, List<Sequence> sequences, List<String> adapters) {
    return new RoutedText(
        console.out(), console.terminals().get(), console.colours(), sequences, adapters);
  }
}
