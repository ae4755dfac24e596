package dev.lorikeet.cli.view;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.options.Voice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.routing.Mixture;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Optional;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.LineDisciplineTerminal;
import org.junit.jupiter.api.Test;

class RoutedTextTest {
  private static final Outcome FAILED =
      new Outcome.Failed(new LorikeetException(LorikeetException.Code.ROUTER_FAILED, "on purpose"));

  private static Sequence prompt(String text) {
    return new Sequence(text, new Prompt.Text(text), Voice.router("r"));
  }

  private static GeneratedToken token(String text, Mixture mixture) {
    return GeneratedToken.of(0, 1, text, 0f, Optional.of(mixture));
  }

  private static void decode(View view, int sequence) {
    view.token(sequence, token(" one", Mixture.of("a")));
    view.token(sequence, token(" two", Mixture.of("a")));
    view.token(
        sequence,
        token(" three", Mixture.of(new Mixture.Share("a", 0.4f), new Mixture.Share("b", 0.6f))));
    view.token(sequence, token(" four", Mixture.none()));
  }

  @Test
  void outsideATerminalTagsTellWhereTheAdapterChanges() {
    StringWriter out = new StringWriter();
    List<Sequence> sequences = List.of(prompt("x"), prompt("y"));
    try (View view =
        new RoutedText(
            new PrintWriter(out), Optional.empty(), true, sequences, List.of("a", "b"))) {
      decode(view, 1);
      decode(view, 0);
      view.end(List.of(FAILED, FAILED));
    }
    String text = "[a] one two[b] three[base] four [ROUTER_FAILED]\n";
    assertEquals("> x\n" + text + "> y\n" + text, out.toString().replace("\r\n", "\n"));
  }

  @Test
  void aTerminalGetsALegendAndColours() throws IOException {
    ByteArrayOutputStream screen = new ByteArrayOutputStream();
    Terminal terminal = new LineDisciplineTerminal("test", "xterm-256color", screen, UTF_8);
    try (View view =
        new RoutedText(
            new PrintWriter(new StringWriter()),
            Optional.of(terminal),
            true,
            List.of(prompt("x")),
            List.of("a", "b"))) {
      decode(view, 0);
      view.refresh();
      String painted = screen.toString(UTF_8);
      assertTrue(painted.contains("\u001b[36m one"), painted);
      assertTrue(painted.contains("\u001b[33m three"), painted);
      assertTrue(painted.startsWith("base  \u001b[36ma"), painted);
    }
  }
}
