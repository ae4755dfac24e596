package dev.lorikeet.cli.console;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.Plugins;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.Charset;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import picocli.CommandLine.Help.Ansi;

/**
 * What the commands see of the world outside; tests bring their own.
 *
 * @param in the standard input
 * @param inputIsPiped whether somebody feeds the standard input
 * @param out the standard output
 * @param err the standard error
 * @param environment the environment variables
 * @param plugins discovers the plugins
 * @param terminals opens the terminal behind the output, empty if there is none that can move its
 *     cursor; the caller closes it
 */
public record Console(
    InputStream in,
    boolean inputIsPiped,
    PrintWriter out,
    PrintWriter err,
    Map<String, String> environment,
    Supplier<Plugins> plugins,
    Supplier<Optional<Terminal>> terminals) {

  private static final int BUFFER = 8192;

  /** Returns the process's own. */
  public static Console system() {
    // Some JDKs return no console where the process isn't interactive, others one that says so.
    boolean interactive =
        Optional.ofNullable(System.console()).filter(c -> c.isTerminal()).isPresent();
    return new Console(
        System.in,
        !interactive,
        new PrintWriter(
            new BufferedOutputStream(
                new StandardOutput(new FileOutputStream(FileDescriptor.out)), BUFFER),
            false,
            charset("stdout.encoding")),
        new PrintWriter(System.err, true, charset("stderr.encoding")),
        System.getenv(),
        Plugins::discover,
        Console::systemTerminal);
  }

  private static Charset charset(String property) {
    String name = System.getProperty(property, "UTF-8");
    return Charset.isSupported(name) ? Charset.forName(name) : UTF_8;
  }

  private static Optional<Terminal> systemTerminal() {
    try {
      Terminal terminal =
          TerminalBuilder.builder()
              .system(true)
              .systemOutput(TerminalBuilder.SystemOutput.SysOut)
              .dumb(true)
              .build();
      if (terminal.getType().startsWith(Terminal.TYPE_DUMB)) {
        terminal.close();
        return Optional.empty();
      }
      return Optional.of(terminal);
    } catch (IOException | IllegalStateException e) {
      return Optional.empty();
    }
  }

  /** Returns whether there is a terminal that can move its cursor. */
  public boolean onTerminal() {
    Optional<Terminal> terminal = terminals.get();
    terminal.ifPresent(Console::release);
    return terminal.isPresent();
  }

  /** Closes a terminal. */
  public static void release(Terminal terminal) {
    try {
      terminal.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns whether and how to colour; honours NO_COLOR (no-color.org). */
  public boolean colours() {
    return environment.getOrDefault("NO_COLOR", "").isEmpty();
  }

  /** Returns the same for the help texts. */
  public Ansi ansi() {
    return colours() ? Ansi.AUTO : Ansi.OFF;
  }
}
