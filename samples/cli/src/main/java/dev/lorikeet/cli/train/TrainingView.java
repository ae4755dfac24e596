package dev.lorikeet.cli.train;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.training.trainer.StepReport;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * A progress bar for each task on a terminal; elsewhere a line on the standard error for each tenth
 * of a task.
 */
final class TrainingView implements AutoCloseable {
  private final Console console;
  private final boolean onTerminal;
  private final Map<String, ProgressBar> bars = new LinkedHashMap<>();

  TrainingView(Console console) {
    this.console = console;
    this.onTerminal = console.onTerminal();
  }

  /** A task begins. */
  synchronized void begin(String task, int steps) {
    if (onTerminal) {
      bars.put(
          task,
          new ProgressBarBuilder()
              .setTaskName(task)
              .setInitialMax(steps)
              .setStyle(ProgressBarStyle.ASCII)
              .build());
    }
  }

  /** A step of a task is made. */
  synchronized void stepped(StepReport report) {
    ProgressBar bar = bars.get(report.task());
    String message = "loss %.4f".formatted(report.loss());
    if (report.validationLoss().isPresent()) {
      message += ", validation %.4f".formatted(report.validationLoss().getAsDouble());
    }
    if (bar != null) {
      bar.setExtraMessage(message);
      bar.stepTo(report.step());
      return;
    }
    int tenth = Math.max(1, report.steps() / 10);
    if (report.step() == 1 || report.step() % tenth == 0 || report.step() == report.steps()) {
      console
          .err()
          .println(
              String.format(
                  Locale.ROOT,
                  "%s: step %d of %d, %s",
                  report.task(),
                  report.step(),
                  report.steps(),
                  message));
    }
  }

  @Override
  public synchronized void close() {
    bars.values().forEach(ProgressBar::close);
  }
}
