package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.serve.ServeReport.ContenderResult;
import dev.lorikeet.bench.serve.ServeReport.ScenarioResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures Lorikeet, Jlama and java-llama.cpp on the same weights and prompts. */
@Command(
    name = "serve",
    sortOptions = false,
    description =
        "Measures Lorikeet, Jlama and java-llama.cpp side by side on the same weights and prompts: 1 and 8 sequences, without, with one and with 8 different adapters of rank 16, and prefill.")
public final class ServeCommand implements Callable<Integer> {
  @Mixin private Extent extent = new Extent();

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of each contender; all processors if not given.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--contenders",
      split = ",",
      paramLabel = "NAME",
      description = "Who is measured: ${COMPLETION-CANDIDATES}; all if not given.")
  private List<Contender> contenders = List.of(Contender.values());

  @Mixin private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    int tokens = extent.tokens();
    String started = Instant.now().toString();
    Path file = output.file("serve");
    Path log = Path.of(file + ".log");
    Files.deleteIfExists(log);
    var prepared = new Preparation(output.data(), output::says).prepare(extent.model(), threads);
    StepCost cost = new StepCost(prepared.shape(), prepared.adapterBytes());
    output.says("measuring the machine");
    Roofline roofline = Roofline.measure(threads, cost.weightBytes());

    Map<Contender, Tuning.Choice> choices = new EnumMap<>(Contender.class);
    output.says("finding the best settings of each; what they print goes to " + log);
    Tuning tuning = new Tuning(prepared.inputs(), Math.min(32, tokens), log, output::says);
    for (Contender contender : contenders) {
      choices.put(
          contender,
          contender == Contender.LLAMA_CPP && prepared.ggufFailure().isPresent()
              ? new Tuning.Choice(
                  java.util.Optional.empty(),
                  List.of(new ServeReport.Trial(Map.of(), 0, prepared.ggufFailure().get())))
              : tuning.choose(contender));
    }

    Comparison comparison = new Comparison(prepared.inputs(), tokens, output);
    List<ContenderResult> measured = new ArrayList<>();
    List<ScenarioResult> scenarios;
    List<Agreement> agreements;
    try (comparison) {
      for (var choice : choices.entrySet()) {
        comparison.add(choice.getKey(), choice.getValue(), log);
      }
      agreements = comparison.agreements();
      comparison.measure(extent.rounds());
      scenarios = comparison.results(cost, roofline);
      choices.forEach((contender, choice) -> measured.add(comparison.result(contender, choice)));
    }
    ServeReport report =
        new ServeReport(
            "serve",
            started,
            Machine.here(),
            roofline,
            new ServeReport.Model(
                extent.model(), prepared.shape(), cost.weightBytes(), prepared.adapterBytes()),
            extent.rounds(),
            tokens,
            measured,
            agreements,
            scenarios,
            Criteria.of(scenarios));
    new ServeText(output).print(report);
    output.write(file, report);
    return report.agreement().stream().allMatch(Agreement::same) ? 0 : 1;
  }
}
