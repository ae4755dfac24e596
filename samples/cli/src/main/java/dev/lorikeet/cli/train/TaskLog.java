package dev.lorikeet.cli.train;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.training.trainer.StepReport;
import dev.lorikeet.training.trainer.TrainingObserver;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Writes what a task reports to a file, a line of JSON for each step, and passes it on. */
final class TaskLog implements TrainingObserver, AutoCloseable {
  private final PrintWriter lines;
  private final Consumer<StepReport> next;
  private final Path file;

  /**
   * One step.
   *
   * @param step from 1
   * @param loss the mean of the step
   * @param validationLoss null where it was not computed
   * @param gradientNorm before clipping
   * @param learningRate of A
   * @param tokens that went through the model
   * @param margin of preferences, else null
   * @param accuracy of preferences and paraphrases, else null
   * @param contrastive of paraphrases, else null
   * @param balance of mixtures, else null
   */
  private record Line(
      int step,
      double loss,
      @Nullable Double validationLoss,
      double gradientNorm,
      double learningRate,
      long tokens,
      @Nullable Double margin,
      @Nullable Double accuracy,
      @Nullable Double contrastive,
      @Nullable Double balance) {}

  /** Goes on with a file that is there, since a task may go on from a checkpoint. */
  TaskLog(Path file, Consumer<StepReport> next) throws IOException {
    this.file = file;
    this.next = next;
    this.lines =
        new PrintWriter(
            Files.newBufferedWriter(
                file,
                StandardCharsets.UTF_8,
                StandardOpenOption.CREATE,
                StandardOpenOption.APPEND));
  }

  @Override
  public void stepped(StepReport report) {
    Json.printLine(
        lines,
        new Line(
            report.step(),
            report.loss(),
            report.validationLoss().isPresent() ? report.validationLoss().getAsDouble() : null,
            report.gradientNorm(),
            report.learningRate(),
            report.tokens(),
            report.margin().isPresent() ? report.margin().getAsDouble() : null,
            report.accuracy().isPresent() ? report.accuracy().getAsDouble() : null,
            report.contrastive().isPresent() ? report.contrastive().getAsDouble() : null,
            report.balance().isPresent() ? report.balance().getAsDouble() : null));
    if (lines.checkError()) {
      throw new LorikeetException(Code.IO_FAILED, file + ": could not be written");
    }
    next.accept(report);
  }

  @Override
  public void close() {
    lines.close();
  }
}
