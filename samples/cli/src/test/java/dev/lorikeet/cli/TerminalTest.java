package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.fake.FakePlugins;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Optional;
import org.jline.terminal.Size;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.LineDisciplineTerminal;
import org.junit.jupiter.api.Test;

/** Commands whose output is a terminal. */
class TerminalTest {
  private final ByteArrayOutputStream screen = new ByteArrayOutputStream();

  private Terminal terminal(int width, int height) throws IOException {
    LineDisciplineTerminal terminal =
        new LineDisciplineTerminal("test", "xterm-256color", screen, UTF_8);
    terminal.setSize(new Size(width, height));
    return terminal;
  }

  @Test
  void theLastFrameHoldsEveryTextInItsColumn() throws IOException {
    Run run =
        Run.on(
            FakePlugins::discover,
            "",
            Optional.of(terminal(100, 24)),
            "demo",
            "-p",
            "Hi",
            "-p",
            "Ho");

    String painted = screen.toString(UTF_8).replace("\r\n", "\n");
    String last = painted.substring(painted.lastIndexOf("A") + 1).replace("\u001b[K", "");
    assertEquals(
        """
        base                glossary            jargon              scripture           voyage
        > Hi
        base says Hi        glossary says Hi    jargon says Hi      scripture says Hi   voyage says Hi

        > Ho
        base says Ho        glossary says Ho    jargon says Ho      scripture says Ho   voyage says Ho
        """,
        last.replace("\u001b[J", "").replaceAll(" +\n", "\n").replaceFirst("^.*?base", "base"));
    assertTrue(run.out().contains("tokens/s"), run.out());
  }

  @Test
  void aNarrowTerminalGetsTheTextsOneAfterTheOther() throws IOException {
    Run run = Run.on(FakePlugins::discover, "", Optional.of(terminal(40, 24)), "demo", "-p", "Hi");

    assertEquals("", screen.toString(UTF_8));
    assertTrue(run.out().startsWith("> Hi\nbase      |  base says Hi\n"), run.out());
  }

  @Test
  void controlCharactersOfTheModelDoNotReachTheTerminal() throws IOException {
    Run.on(FakePlugins::discover, "", Optional.of(terminal(100, 24)), "demo", "-p", "\u001b[2Jx");

    assertFalse(screen.toString(UTF_8).contains("\u001b[2J"));
  }
}
