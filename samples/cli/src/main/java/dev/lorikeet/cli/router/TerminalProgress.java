package dev.lorikeet.cli.router;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.gates.Progress;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Progress bars on the standard error, one for each part of a task; none outside a terminal. */
final class TerminalProgress implements Progress, AutoCloseable {
  private final boolean shown;
  private Optional<ProgressBar> bar = Optional.empty();

  TerminalProgress(Console console) {
    this.shown = console.onTerminal();
  }

  @Override
  public void begin(String part, int steps) {
    close();
    if (shown) {
      bar =
          Optional.of(
              new ProgressBarBuilder()
                  .setTaskName(part)
                  .setInitialMax(steps)
                  .setStyle(ProgressBarStyle.ASCII)
                  .build());
    }
  }

  @Override
  public void step() {
    bar.ifPresent(ProgressBar::step);
  }

  @Override
  public void close() {
    bar.ifPresent(ProgressBar::close);
    bar = Optional.empty();
  }
}
