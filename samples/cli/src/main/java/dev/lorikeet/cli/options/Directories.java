package dev.lorikeet.cli.options;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.jlama.hub.Hub;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * The directories that arguments mean: themselves where there is such a file or directory, else
 * those of the models and adapters whose names they spell, downloaded where they are not here.
 */
public final class Directories {
  private final Console console;

  /** Shows downloads on a console, and takes its environment. */
  public Directories(Console console) {
    this.console = console;
  }

  /** Returns the directory of a model. */
  public Path model(Path argument) {
    return ask(UnaryOperator.identity(), hub -> hub.modelDirectory(argument));
  }

  /** Returns the directory or file of an adapter. */
  public Path adapter(Path argument) {
    return ask(UnaryOperator.identity(), hub -> hub.adapterDirectory(argument));
  }

  /** Returns the directories or files of adapters, in the same order. */
  public Map<String, Path> adapters(Map<String, Path> arguments) {
    Map<String, Path> directories = new LinkedHashMap<>();
    arguments.forEach((name, argument) -> directories.put(name, adapter(argument)));
    return directories;
  }

  /** Asks a hub with further settings, and shows what it downloads. */
  public Path ask(UnaryOperator<Hub.Builder> settings, Function<Hub, Path> question) {
    try (DownloadView view = new DownloadView(console)) {
      Hub.Builder builder = Hub.builder(console.environment()).progress(view);
      return question.apply(settings.apply(builder).build());
    } catch (IllegalArgumentException e) {
      // The environment is at fault: arguments that spell no name are taken as paths.
      throw new LorikeetException(Code.INVALID_REQUEST, String.valueOf(e.getMessage()), e);
    }
  }
}
