package dev.lorikeet.cli.view;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.console.Wrap;
import dev.lorikeet.model.GeneratedToken;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import org.jline.terminal.Terminal;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStyle;

/**
 * Streams the voices of every prompt side by side: one column a voice, one block a prompt. While
 * tokens come, each block shows the last lines of its columns, as many as the screen has room for,
 * and is painted over in place; at the end the whole texts stay on the screen.
 */
final class Columns implements View {
  /** Below this width columns are too narrow to read. */
  static final int NARROWEST = 12;

  private static final String GAP = "  ";
  private static final String CLEAR_TO_END_OF_LINE = "\u001b[K";
  private static final String CLEAR_TO_END_OF_SCREEN = "\u001b[J";
  private static final int[] COLOURS = {
    AttributedStyle.CYAN,
    AttributedStyle.YELLOW,
    AttributedStyle.GREEN,
    AttributedStyle.MAGENTA,
    AttributedStyle.BLUE,
    AttributedStyle.RED
  };

  private final Terminal terminal;
  private final PrintWriter out;
  private final boolean colours;
  private final List<String> prompts;
  private final List<String> labels;
  private final List<StringBuilder> texts = new ArrayList<>();
  private int painted;

  /**
   * Creates a view.
   *
   * @param terminal where to paint; closed with this view
   * @param sequences the sequences, the voices of one prompt side by side
   * @param voices how many voices there are
   */
  Columns(Terminal terminal, boolean colours, List<Sequence> sequences, int voices) {
    this.terminal = terminal;
    this.out = terminal.writer();
    this.colours = colours;
    this.labels = sequences.subList(0, voices).stream().map(s -> s.voice().label()).toList();
    List<String> found = new ArrayList<>();
    for (int i = 0; i < sequences.size(); i++) {
      if (i % voices == 0) {
        found.add(Visible.oneLine(sequences.get(i).text()));
      }
      texts.add(new StringBuilder());
    }
    this.prompts = found;
  }

  /** Returns whether a terminal has room for this many columns. */
  static boolean fit(Terminal terminal, int voices) {
    return columnWidth(terminal.getWidth(), voices) >= NARROWEST;
  }

  private static int columnWidth(int width, int voices) {
    // The last cell stays free: some terminals break the line when it is used.
    return (width - 1 - GAP.length() * (voices - 1)) / voices;
  }

  @Override
  public void token(int sequence, GeneratedToken token) {
    texts.get(sequence).append(Visible.text(token.text()));
  }

  @Override
  public void refresh() {
    int blocks = prompts.size();
    int room = (Math.max(terminal.getHeight(), 5) - 2 - 2 * blocks) / blocks;
    paint(Math.max(1, room));
  }

  @Override
  public void end(List<Outcome> outcomes) {
    for (int i = 0; i < outcomes.size(); i++) {
      if (outcomes.get(i) instanceof Outcome.Failed(var failure)) {
        texts.get(i).append(" [").append(failure.code()).append(']');
      }
    }
    paint(Integer.MAX_VALUE);
    painted = 0;
  }

  private void paint(int linesPerBlock) {
    StringBuilder frame = new StringBuilder("\r");
    if (painted > 0) {
      frame.append("\u001b[").append(painted).append('A');
    }
    List<String> lines = frame(linesPerBlock);
    for (String line : lines) {
      frame.append(line).append(CLEAR_TO_END_OF_LINE).append('\n');
    }
    out.print(frame.append(CLEAR_TO_END_OF_SCREEN));
    out.flush();
    painted = lines.size();
  }

  private List<String> frame(int linesPerBlock) {
    int voices = labels.size();
    int total = Math.max(terminal.getWidth(), 20);
    int width = Math.max(2, columnWidth(total, voices));
    List<String> lines = new ArrayList<>();
    lines.add(row(labels, width, true));
    for (int prompt = 0; prompt < prompts.size(); prompt++) {
      lines.add(styled(Wrap.fit("> " + prompts.get(prompt), total - 1), AttributedStyle.BOLD));
      List<List<String>> columns = new ArrayList<>();
      int height = 1;
      for (int voice = 0; voice < voices; voice++) {
        List<String> column =
            Wrap.lines(texts.get(prompt * voices + voice).toString().stripLeading(), width);
        column = column.subList(Math.max(0, column.size() - linesPerBlock), column.size());
        columns.add(column);
        height = Math.max(height, column.size());
      }
      for (int y = 0; y < height; y++) {
        int line = y;
        lines.add(
            row(
                columns.stream().map(c -> line < c.size() ? c.get(line) : "").toList(),
                width,
                false));
      }
      if (prompt < prompts.size() - 1) {
        lines.add("");
      }
    }
    return lines;
  }

  private String row(List<String> cells, int width, boolean heading) {
    StringBuilder row = new StringBuilder();
    for (int voice = 0; voice < cells.size(); voice++) {
      AttributedStyle style = colour(voice);
      row.append(voice == 0 ? "" : GAP)
          .append(
              styled(
                  Wrap.fit(cells.get(voice), width), heading ? style.bold().underline() : style));
    }
    return row.toString();
  }

  // The first voice keeps the terminal's own colour.
  static AttributedStyle colour(int voice) {
    return voice == 0
        ? AttributedStyle.DEFAULT
        : AttributedStyle.DEFAULT.foreground(COLOURS[(voice - 1) % COLOURS.length]);
  }

  private String styled(String text, AttributedStyle style) {
    return colours ? new AttributedString(text, style).toAnsi(terminal) : text;
  }

  @Override
  public void close() {
    Console.release(terminal);
  }
}
