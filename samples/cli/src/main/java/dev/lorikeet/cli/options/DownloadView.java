package dev.lorikeet.cli.options;

import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.jlama.hub.DownloadProgress;
import dev.lorikeet.jlama.hub.ModelName;
import java.nio.file.Path;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Shows downloads on the standard error: bars in a terminal, elsewhere a line for each file. */
final class DownloadView implements DownloadProgress, AutoCloseable {
  private static final long MEBIBYTE = 1L << 20;

  private final Console console;
  private boolean bars;
  private String file = "";
  private Optional<ProgressBar> bar = Optional.empty();

  DownloadView(Console console) {
    this.console = console;
  }

  @Override
  public void begin(ModelName name, Path directory, int files, long bytes) {
    line(name + " -> " + directory + ": " + files + " files, " + ByteSize.text(bytes));
    bars = console.onTerminal();
  }

  @Override
  public void update(String name, long done, long size) {
    if (!name.equals(file)) {
      close();
      file = name;
      if (bars) {
        bar =
            Optional.of(
                new ProgressBarBuilder()
                    .setTaskName(name)
                    .setInitialMax(size)
                    .setUnit(size < MEBIBYTE ? " B" : " MiB", size < MEBIBYTE ? 1 : MEBIBYTE)
                    .setStyle(ProgressBarStyle.ASCII)
                    .showSpeed()
                    .build());
      }
    }
    bar.ifPresent(shown -> shown.stepTo(done));
    if (done == size) {
      close();
      if (!bars) {
        line("  " + name + ": " + ByteSize.text(size));
      }
    }
  }

  @Override
  public void waiting(String reason) {
    close();
    line(reason);
  }

  private void line(String text) {
    console.err().println(Visible.oneLine(text));
    console.err().flush();
  }

  /** Takes the bar away; the next update brings another. */
  @Override
  public void close() {
    bar.ifPresent(ProgressBar::close);
    bar = Optional.empty();
    file = "";
  }
}
