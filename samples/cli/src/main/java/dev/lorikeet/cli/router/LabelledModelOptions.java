package dev.lorikeet.cli.router;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.cli.options.HostOptions;
import dev.lorikeet.cli.options.OncePerName;
import dev.lorikeet.gates.LabelledText;
import dev.lorikeet.tiny.TinyModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options that name a model, its adapters, and a text of each; the tiny model's by default. */
final class LabelledModelOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      description =
          "Hugging Face model directory, GGUF file, or owner/name. Without it: the embedded tiny model, its adapters and texts.")
  private Optional<Path> model = Optional.empty();

  @Option(
      names = {"-a", "--adapter"},
      paramLabel = "NAME=DIR",
      parameterConsumer = OncePerName.class,
      description = "PEFT adapter directory, or owner/name, and the name to give it; at least two.")
  private Map<String, Path> adapters = new LinkedHashMap<>();

  @Option(
      names = {"-t", "--text"},
      paramLabel = "NAME=FILE",
      description = "Text of an adapter's kind, in UTF-8; one for each adapter.")
  private Map<String, Path> texts = new LinkedHashMap<>();

  @Mixin private HostOptions host = new HostOptions();

  /**
   * A model with its adapters and a text of each.
   *
   * @param model the model's directory
   * @param adapters the adapters' directories by name
   * @param texts a text of each, in the same order
   * @param tiny the embedded model, if it is that
   */
  record Labelled(
      Path model, Map<String, Path> adapters, List<LabelledText> texts, Optional<TinyModel> tiny) {
    List<String> names() {
      return List.copyOf(adapters.keySet());
    }
  }

  /** Reads the texts, and downloads what is not here. */
  Labelled read(Console console, boolean heldOut) {
    if (model.isPresent()) {
      if (adapters.size() < 2 || !adapters.keySet().equals(texts.keySet())) {
        throw usage(
            "expected --adapter at least twice, and --text for each of them, found adapters "
                + adapters.keySet()
                + " and texts "
                + texts.keySet());
      }
      List<LabelledText> read = new ArrayList<>();
      adapters
          .keySet()
          .forEach(
              name ->
                  read.add(
                      LabelledText.read(name, Optional.ofNullable(texts.get(name)).orElseThrow())));
      Directories directories = new Directories(console);
      return new Labelled(
          directories.model(model.get()), directories.adapters(adapters), read, Optional.empty());
    }
    if (!adapters.isEmpty() || !texts.isEmpty()) {
      throw usage("--adapter and --text: expected --model as well");
    }
    TinyModel tiny = TinyModel.extract();
    Map<String, Path> directories = new LinkedHashMap<>();
    List<LabelledText> read = new ArrayList<>();
    for (String name : tiny.adapterNames()) {
      directories.put(name, tiny.adapter(name));
      read.add(LabelledText.read(name, heldOut ? tiny.heldOutText(name) : tiny.trainingText(name)));
    }
    return new Labelled(tiny.base(), directories, read, Optional.of(tiny));
  }

  /** Opens the model and registers the adapters. */
  Lorikeet open(Plugins plugins, Labelled labelled) {
    Lorikeet lorikeet = host.open(plugins, labelled.model());
    try {
      labelled.adapters().forEach(lorikeet::register);
      return lorikeet;
    } catch (RuntimeException | Error e) {
      lorikeet.close();
      throw e;
    }
  }

  ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
