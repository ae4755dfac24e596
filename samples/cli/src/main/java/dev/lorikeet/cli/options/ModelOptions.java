package dev.lorikeet.cli.options;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Mixture;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options that name a model of the user's own, its adapters, and which of them to use. */
public final class ModelOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-m", "--model"},
      required = true,
      paramLabel = "DIR",
      description = "Hugging Face model directory, GGUF file, or a model's name: owner/name.")
  private Path model = Path.of("");

  @Option(
      names = {"-a", "--adapter"},
      paramLabel = "NAME=DIR",
      parameterConsumer = OncePerName.class,
      description =
          "PEFT adapter directory, GGUF or Arrow file, or owner/name, and the name to give it; may be"
              + " repeated.")
  private Map<String, Path> adapters = new LinkedHashMap<>();

  @ArgGroup private Choice choice = new Choice();

  @Option(
      names = "--router-option",
      paramLabel = "KEY=VALUE",
      description = "Setting of the router; may be repeated.")
  private Map<String, String> routerOptions = new LinkedHashMap<>();

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description =
          "Chat template for --chat, in place of the adapter's own, if it has one, and the model's.")
  private Optional<Path> chatTemplate = Optional.empty();

  @Mixin private HostOptions host = new HostOptions();

  /** One way to use the adapters. */
  static final class Choice {
    @Option(
        names = "--use",
        paramLabel = "NAME",
        description =
            "Use this adapter, or 'none'. Without a choice: the one adapter given, or the base model if none is.")
    private Optional<String> use = Optional.empty();

    @Option(
        names = "--mix",
        split = ",",
        paramLabel = "NAME=WEIGHT",
        description = "Use a mixture of adapters, such as a=0.5,b=0.5.")
    private Map<String, Float> mix = new LinkedHashMap<>();

    @Option(names = "--router", paramLabel = "NAME", description = "Let a router plugin choose.")
    private Optional<String> router = Optional.empty();

    @Option(
        names = "--each",
        description = "Use the base model and every adapter, side by side in one batch.")
    private boolean each;
  }

  /** Returns the voices asked for; wrong combinations are wrong usage. */
  public List<Voice> voices() {
    if (choice.each) {
      List<Voice> voices = new ArrayList<>(List.of(Voice.base()));
      adapters.keySet().forEach(name -> voices.add(Voice.adapter(name)));
      return voices;
    }
    if (choice.router.isPresent()) {
      String name = choice.router.get();
      return List.of(Voice.router(name));
    }
    if (!choice.mix.isEmpty()) {
      return List.of(mixture());
    }
    if (choice.use.isPresent()) {
      String name = choice.use.get();
      if (name.equals("none") && !adapters.containsKey(name)) {
        return List.of(Voice.base());
      }
      return List.of(Voice.adapter(known("--use", name)));
    }
    return switch (adapters.size()) {
      case 0 -> List.of(Voice.base());
      case 1 -> List.of(Voice.adapter(adapters.keySet().iterator().next()));
      default ->
          throw usage(
              "several adapters are given: expected one of --use, --mix, --router or --each");
    };
  }

  private Voice mixture() {
    List<Mixture.Share> shares = new ArrayList<>();
    try {
      choice.mix.forEach(
          (name, weight) -> shares.add(new Mixture.Share(known("--mix", name), weight)));
    } catch (LorikeetException e) {
      throw usage("--mix: " + e.getMessage());
    }
    String label = String.join("+", shares.stream().map(Mixture.Share::toString).toList());
    return new Voice(label, AdapterChoice.mixed(new Mixture(shares)));
  }

  private String known(String option, String name) {
    if (!adapters.containsKey(name)) {
      throw usage(option + ": expected one of " + adapters.keySet() + ", found '" + name + "'");
    }
    return name;
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  /** Downloads what is not here, opens the model, registers the adapters, opens the router. */
  public Lorikeet open(Console console, Plugins plugins) {
    Directories directories = new Directories(console);
    Path directory = directories.model(model);
    Map<String, Path> registered = directories.adapters(adapters);
    Lorikeet lorikeet = host.open(plugins, directory, chatTemplate);
    try {
      registered.forEach(lorikeet::register);
      choice.router.ifPresent(name -> lorikeet.addRouter(name, routerOptions));
      return lorikeet;
    } catch (LorikeetException e) {
      lorikeet.close();
      throw Usage.of(spec, e);
    } catch (RuntimeException | Error e) {
      lorikeet.close();
      throw e;
    }
  }

  /** Returns the names of the plugins that these options choose. */
  public Map<String, String> chosen(Plugins plugins) {
    return host.chosen(plugins);
  }
}
