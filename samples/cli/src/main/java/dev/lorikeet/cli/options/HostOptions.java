package dev.lorikeet.cli.options;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.PluginKind;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ByteSize;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options of how a model is hosted: memory, threads and the choice of plugins. */
public final class HostOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--pool-size",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      defaultValue = "1G",
      description =
          "Memory that KV cache and adapters share, such as 512M or 8G (${DEFAULT-VALUE}).")
  private long poolBytes;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of the base model; its own default if not given.")
  private Optional<Integer> threads = Optional.empty();

  @Option(names = "--base-model", paramLabel = "NAME", description = "Base model plugin to use.")
  private Optional<String> baseModel = Optional.empty();

  @Option(names = "--executor", paramLabel = "NAME", description = "LoRA executor plugin to use.")
  private Optional<String> executor = Optional.empty();

  @Option(names = "--store", paramLabel = "NAME", description = "Adapter store plugin to use.")
  private Optional<String> store = Optional.empty();

  @Option(names = "--pool", paramLabel = "NAME", description = "Page pool plugin to use.")
  private Optional<String> pool = Optional.empty();

  @Option(
      names = "--strict",
      description =
          "Refuse an adapter without weights for all modules that its configuration names; else a warning counts them.")
  private boolean strict;

  @Mixin private LinkOptions links = new LinkOptions();

  @Option(
      names = "--option",
      paramLabel = "KIND.KEY=VALUE",
      description = "Setting of a plugin; KIND is model, executor, store or pool.")
  private Map<String, String> options = new LinkedHashMap<>();

  /** Opens a model directory; wrong settings are wrong usage. */
  public Lorikeet open(Plugins plugins, Path model) {
    return open(plugins, model, Optional.empty());
  }

  /** Opens a model directory to use the chat template of a file, if one is given. */
  public Lorikeet open(Plugins plugins, Path model, Optional<Path> chatTemplate) {
    Lorikeet.Builder builder = Lorikeet.builder(model).plugins(plugins).poolBytes(poolBytes);
    threads.ifPresent(n -> builder.modelOption("threads", Integer.toString(n)));
    baseModel.ifPresent(builder::baseModel);
    executor.ifPresent(builder::loraExecutor);
    store.ifPresent(builder::adapterStore);
    pool.ifPresent(builder::pagePool);
    if (strict) {
      builder.storeOption("strict", "true");
    }
    chatTemplate.ifPresent(builder::chatTemplate);
    links.option().ifPresent(folders -> builder.storeOption("trusted-links", folders));
    options.forEach((key, value) -> set(builder, key, value));
    try {
      return builder.open();
    } catch (LorikeetException e) {
      throw Usage.of(spec, e);
    }
  }

  private void set(Lorikeet.Builder builder, String name, String value) {
    int dot = name.indexOf('.');
    String kind = dot < 0 ? name : name.substring(0, dot);
    String key = name.substring(dot + 1);
    if (dot < 0 || key.isEmpty()) {
      throw unknown(name);
    }
    switch (kind) {
      case "model" -> builder.modelOption(key, value);
      case "executor" -> builder.executorOption(key, value);
      case "store" -> builder.storeOption(key, value);
      case "pool" -> builder.poolOption(key, value);
      default -> throw unknown(name);
    }
  }

  private ParameterException unknown(String name) {
    return new ParameterException(
        spec.commandLine(),
        "--option: expected model.KEY, executor.KEY, store.KEY or pool.KEY, found '" + name + "'");
  }

  /** Returns the names of the plugins that these options choose. */
  public Map<String, String> chosen(Plugins plugins) {
    Map<String, String> names = new LinkedHashMap<>();
    names.put(key(PluginKind.BASE_MODEL), plugins.baseModel(baseModel).name());
    names.put(key(PluginKind.LORA_EXECUTOR), plugins.loraExecutor(executor).name());
    names.put(key(PluginKind.ADAPTER_STORE), plugins.adapterStore(store).name());
    names.put(key(PluginKind.PAGE_POOL), plugins.pagePool(pool).name());
    return names;
  }

  /** Returns the name of a kind in JSON. */
  public static String key(PluginKind kind) {
    return kind.name().toLowerCase(Locale.ROOT);
  }
}
