package dev.lorikeet.cli.options;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.tiny.TinyModel;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import picocli.CommandLine.ParameterException;

/** Opens the router that a command names. */
public final class RouterChoice {
  private RouterChoice() {}

  /**
   * Adds a router plugin to a model; wrong settings are wrong usage.
   *
   * @param name what requests call it
   * @param plugin the plugin's name
   * @param options its settings; on the tiny model {@code gate} takes the tiny model's own gate
   *     unless they name another
   */
  public static void add(
      Lorikeet lorikeet,
      String name,
      String plugin,
      Map<String, String> options,
      Optional<TinyModel> tiny,
      Function<String, ParameterException> usage) {
    Map<String, String> all = new HashMap<>(options);
    tiny.ifPresent(
        model -> {
          if (plugin.equals("gate")) {
            all.putIfAbsent("path", model.gate().toString());
          }
        });
    try {
      lorikeet.addRouter(name, plugin, all);
    } catch (LorikeetException e) {
      throw Usage.is(e) ? usage.apply(e.getMessage()) : e;
    }
  }
}
