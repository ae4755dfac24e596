package dev.lorikeet.cli.view;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.options.PromptOptions;
import dev.lorikeet.cli.options.Voice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Prompt;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;
import org.jline.terminal.Size;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.LineDisciplineTerminal;
import org.junit.jupiter.api.Test;

class ColumnsTest {
  private final ByteArrayOutputStream screen = new ByteArrayOutputStream();

  private Terminal terminal(int width, int height) throws IOException {
    LineDisciplineTerminal terminal =
        new LineDisciplineTerminal("test", "xterm-256color", screen, UTF_8);
    terminal.setSize(new Size(width, height));
    return terminal;
  }

  @Test
  void aFrameNeverOutgrowsTheScreenWhileTokensCome() throws IOException {
    List<Voice> voices = List.of(Voice.base(), Voice.adapter("red"));
    List<Sequence> sequences =
        Sequence.product(List.of(named("one"), named("two"), named("three")), voices);
    try (Columns columns = new Columns(terminal(60, 12), false, sequences, 2)) {
      for (int i = 0; i < 200; i++) {
        columns.token(i % 6, GeneratedToken.of(i, i, " word" + i, 0f));
        screen.reset();
        columns.refresh();
        assertTrue(screen.toString(UTF_8).lines().count() <= 12, "token " + i);
      }
    }
  }

  private static PromptOptions.NamedPrompt named(String text) {
    return new PromptOptions.NamedPrompt(text, new Prompt.Text(text));
  }
}
