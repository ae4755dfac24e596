package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.view.Outcome;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.cli.view.View;
import dev.lorikeet.cli.view.Views;
import dev.lorikeet.model.GenerationRequest;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Decodes a batch, shows it, and tells of it: what {@code demo} and {@code generate} share. */
final class BatchRun {
  private BatchRun() {}

  /**
   * How to tell.
   *
   * @param json as JSON
   * @param stream as lines of JSON, each token as it comes
   * @param summary with the table for people
   * @param byAdapter with the adapter that produced each token
   */
  record Output(boolean json, boolean stream, boolean summary, boolean byAdapter) {}

  /** Returns the exit code: that of the first sequence that failed, if any did. */
  static int run(
      Console console,
      Lorikeet lorikeet,
      Map<String, String> plugins,
      List<Sequence> sequences,
      int voices,
      Consumer<GenerationRequest.Builder> settings,
      Output output) {
    Batch batch;
    try (View view = view(console, lorikeet, sequences, voices, output)) {
      batch = Batch.run(lorikeet, sequences, settings, view);
    }
    if (output.json() && output.stream()) {
      List<BatchJson.GenerationEntry> generations = Report.generations(lorikeet.model(), batch);
      for (int i = 0; i < generations.size(); i++) {
        Json.printLine(console.out(), new BatchJson.ResultLine("result", i, generations.get(i)));
      }
      Json.printLine(
          console.out(),
          new BatchJson.SummaryLine("summary", Report.batch(batch), Report.pages(batch)));
    } else if (output.json()) {
      Json.print(console.out(), Report.json(lorikeet, plugins, batch));
    } else if (output.summary()) {
      Report.table(
          console.out(),
          batch,
          sequences.size() / voices,
          voices,
          lorikeet.adapters().list().size());
    }
    return exitCode(console, batch);
  }

  private static View view(
      Console console, Lorikeet lorikeet, List<Sequence> sequences, int voices, Output output) {
    if (output.byAdapter() && !output.json()) {
      return Views.byAdapter(
          console, sequences, lorikeet.adapters().list().stream().map(AdapterSpec::id).toList());
    }
    return Views.choose(console, sequences, voices, output.json(), output.stream());
  }

  private static int exitCode(Console console, Batch batch) {
    int exitCode = ExitCode.OK;
    for (int i = 0; i < batch.outcomes().size(); i++) {
      if (batch.outcomes().get(i) instanceof Outcome.Failed(LorikeetException failure)) {
        String voice = batch.sequences().get(i).voice().label();
        console
            .err()
            .println(
                "lorikeet: "
                    + failure.code()
                    + ": "
                    + voice
                    + ": "
                    + Visible.oneLine(String.valueOf(failure.getMessage())));
        exitCode = exitCode == ExitCode.OK ? ExitCode.of(failure.code()) : exitCode;
      }
    }
    return exitCode;
  }
}
