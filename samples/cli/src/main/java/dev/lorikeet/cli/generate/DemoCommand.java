package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.options.HostOptions;
import dev.lorikeet.cli.options.PromptOptions;
import dev.lorikeet.cli.options.RouterChoice;
import dev.lorikeet.cli.options.Voice;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Decodes prompts with the embedded model in all its voices at once. */
@Command(
    name = "demo",
    sortOptions = false,
    description =
        "Sends the same prompts to the embedded tiny model and to its four adapters, decodes them as one batch, and shows them side by side; or lets a router choose among the adapters token by token.")
public final class DemoCommand implements Callable<Integer> {
  /** The prompts of the model's reference outputs. */
  static final List<String> PROMPTS =
      List.of("The people of the", "In the beginning", "The ship", "water (noun): ");

  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-p", "--prompt"},
      paramLabel = "TEXT",
      description = "Prompt instead of the built-in ones; may be repeated.")
  private List<String> prompts = new ArrayList<>();

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      description = "Generate at most this many tokens each (${DEFAULT-VALUE}).")
  private int maxTokens = 32;

  @Option(
      names = "--adapters",
      paramLabel = "DIR",
      description =
          "Use the PEFT adapters in this directory, by the names of their folders, instead of the embedded ones; such as 'train' writes over the embedded model.")
  private Optional<Path> adapters = Optional.empty();

  @Option(
      names = "--chat",
      description =
          "Take a prompt as the user's message and apply the model's chat template; so small a model continues rather than answers.")
  private boolean chat;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "Chat template for --chat, in place of the model's.")
  private Optional<Path> chatTemplate = Optional.empty();

  @Option(
      names = "--router",
      paramLabel = "NAME",
      description =
          "Let a router plugin choose among the adapters, and show which adapter produced each token. 'gate' is trained for the model.")
  private Optional<String> router = Optional.empty();

  @Option(
      names = "--router-option",
      paramLabel = "KEY=VALUE",
      description = "Setting of the router; may be repeated.")
  private Map<String, String> routerOptions = new LinkedHashMap<>();

  @Option(names = "--json", description = "Print JSON, with the token ids.")
  private boolean json;

  @Mixin private HostOptions host = new HostOptions();

  /** Creates the command; the caller adds it to its parent. */
  public DemoCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    if (maxTokens < 1) {
      throw new ParameterException(
          spec.commandLine(), "--max-tokens: expected at least 1, found " + maxTokens);
    }
    TinyModel tiny = TinyModel.extract();
    Map<String, Path> directories = adapters.isPresent() ? found(adapters.get()) : embedded(tiny);
    List<Voice> voices = voices(directories.keySet());
    List<String> texts = prompts.isEmpty() ? PROMPTS : prompts;
    List<Sequence> sequences =
        Sequence.product(
            texts.stream().map(text -> new PromptOptions.NamedPrompt(text, prompt(text))).toList(),
            voices);
    Plugins plugins = console.plugins().get();
    try (Lorikeet lorikeet = host.open(plugins, tiny.base(), chatTemplate)) {
      directories.forEach(lorikeet::register);
      router.ifPresent(
          name ->
              RouterChoice.add(
                  lorikeet,
                  name,
                  name,
                  routerOptions,
                  Optional.of(tiny),
                  message -> new ParameterException(spec.commandLine(), message)));
      return BatchRun.run(
          console,
          lorikeet,
          host.chosen(plugins),
          sequences,
          voices.size(),
          this::settings,
          new BatchRun.Output(json, false, true, router.isPresent()));
    }
  }

  private Prompt prompt(String text) {
    return chat ? Prompt.Chat.of(Prompt.ChatMessage.user(text)) : new Prompt.Text(text);
  }

  private static Map<String, Path> embedded(TinyModel tiny) {
    Map<String, Path> directories = new TreeMap<>();
    tiny.adapterNames().forEach(name -> directories.put(name, tiny.adapter(name)));
    return directories;
  }

  private Map<String, Path> found(Path folder) {
    Map<String, Path> directories = new TreeMap<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
      for (Path entry : entries) {
        if (Files.exists(entry.resolve(PeftAdapterFile.CONFIG))) {
          directories.put(entry.getFileName().toString(), entry);
        }
      }
    } catch (IOException e) {
      throw LorikeetException.ofFiles(folder.toString(), e);
    }
    if (directories.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(),
          "--adapters: expected a directory with PEFT adapters in folders, found none in "
              + folder);
    }
    return directories;
  }

  private List<Voice> voices(Set<String> names) {
    if (router.isPresent()) {
      return List.of(Voice.router(router.get()));
    }
    List<Voice> voices = new ArrayList<>(List.of(Voice.base()));
    names.forEach(name -> voices.add(Voice.adapter(name)));
    return voices;
  }

  private void settings(GenerationRequest.Builder request) {
    request.maxTokens(maxTokens);
    if (router.isPresent()) {
      request.reportMixture();
    }
  }
}
