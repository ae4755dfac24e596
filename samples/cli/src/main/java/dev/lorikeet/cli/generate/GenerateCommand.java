package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.options.ModelOptions;
import dev.lorikeet.cli.options.PromptOptions;
import dev.lorikeet.cli.options.SamplingOptions;
import dev.lorikeet.cli.options.Voice;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.model.GenerationRequest;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Continues prompts with a model and adapters of the user's own. */
@Command(
    name = "generate",
    sortOptions = false,
    description = "Continues prompts with a model and adapters of your own, all in one batch.")
public final class GenerateCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Mixin private PromptOptions prompts = new PromptOptions();

  @Mixin private SamplingOptions sampling = new SamplingOptions();

  @Mixin private ModelOptions model = new ModelOptions();

  @Option(names = "--json", description = "Print JSON, with the token ids.")
  private boolean json;

  @Option(
      names = "--stream",
      description = "With --json: one object a line, each token as it comes. Text always streams.")
  private boolean stream;

  @Option(names = "--stats", description = "Print speed and pages after the text.")
  private boolean stats;

  /** Creates the command; the caller adds it to its parent. */
  public GenerateCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    if (stream && !json) {
      throw new ParameterException(spec.commandLine(), "--stream: expected --json as well");
    }
    sampling.apply(GenerationRequest.text("")); // refuses before a model loads
    List<Voice> voices = model.voices();
    List<Sequence> sequences = Sequence.product(prompts.read(console), voices);
    Plugins plugins = console.plugins().get();
    try (Lorikeet lorikeet = model.open(console, plugins)) {
      return BatchRun.run(
          console,
          lorikeet,
          model.chosen(plugins),
          sequences,
          voices.size(),
          sampling::apply,
          new BatchRun.Output(json, stream, stats, false));
    }
  }
}
