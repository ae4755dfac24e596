package dev.lorikeet.cli.models;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.jlama.hub.Hub;
import dev.lorikeet.jlama.hub.ModelFolders;
import dev.lorikeet.jlama.hub.ModelName;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Downloads a model and adapters. */
@Command(
    name = "pull",
    sortOptions = false,
    description =
        "Downloads a model, and adapters for it, into Jlama's model folder, where Jlama finds them too. What is here already is not asked for again; what broke off goes on.")
public final class PullCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      arity = "0..1",
      paramLabel = "OWNER/NAME",
      description = "Model, as owner/name or owner/name@revision.")
  private Optional<String> model = Optional.empty();

  @Option(
      names = {"-a", "--adapter"},
      paramLabel = "OWNER/NAME",
      description = "Adapter, in the same form; may be repeated.")
  private List<String> adapters = new ArrayList<>();

  @Option(
      names = "--revision",
      paramLabel = "REVISION",
      description = "Branch, tag or commit of the model; its main branch if not given.")
  private Optional<String> revision = Optional.empty();

  @Option(
      names = "--folder",
      paramLabel = "DIR",
      description =
          "Folder to download into. Without it: JLAMA_MODEL_HOME or ~/.jlama/models, unless the model is there or in Hugging Face's cache.")
  private Optional<Path> folder = Optional.empty();

  @Option(names = "--json", description = "Print the directories as JSON.")
  private boolean json;

  /** Creates the command; the caller adds it to its parent. */
  public PullCommand(Console console) {
    this.console = console;
  }

  private record Pulled(@Nullable Entry model, List<Entry> adapters) {}

  private record Entry(String name, String path) {}

  @Override
  public Integer call() {
    if (model.isEmpty() && adapters.isEmpty()) {
      throw usage("expected the name of a model, or --adapter");
    }
    Optional<ModelName> modelName = model.map(this::modelName);
    List<ModelName> adapterNames = adapters.stream().map(this::parse).toList();
    Optional<Entry> pulled = modelName.map(name -> pull(name, Hub::model));
    List<Entry> entries = adapterNames.stream().map(name -> pull(name, Hub::adapter)).toList();
    if (json) {
      Json.print(console.out(), new Pulled(pulled.orElse(null), entries));
    }
    return ExitCode.OK;
  }

  private ModelName modelName(String text) {
    if (revision.isEmpty()) {
      return parse(text);
    }
    if (text.contains("@")) {
      throw usage("--revision: expected a model without @revision, found '" + text + "'");
    }
    return parse(text + "@" + revision.get());
  }

  private ModelName parse(String text) {
    try {
      return ModelName.parse(text);
    } catch (IllegalArgumentException e) {
      throw usage(String.valueOf(e.getMessage()));
    }
  }

  private Entry pull(ModelName name, BiFunction<Hub, ModelName, Path> question) {
    Path path =
        new Directories(console)
            .ask(
                builder -> folder.map(ModelFolders::of).map(builder::folders).orElse(builder),
                hub -> question.apply(hub, name));
    if (!json) {
      console.out().println(Visible.oneLine(name + " is in " + path));
      console.out().flush();
    }
    return new Entry(name.toString(), path.toString());
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
