package dev.lorikeet.cli.plugins;

import dev.lorikeet.Plugin;
import dev.lorikeet.PluginKind;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.HostOptions;
import dev.lorikeet.plugin.Availability;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Lists the providers that were found. */
@Command(
    name = "plugins",
    sortOptions = false,
    description =
        "Lists every plugin found, with its state and the reason for it. A star marks those that are used when none is named.")
public final class PluginsCommand implements Callable<Integer> {
  private final Console console;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  /** Creates the command; the caller adds it to its parent. */
  public PluginsCommand(Console console) {
    this.console = console;
  }

  private record PluginList(List<PluginEntry> plugins) {}

  private record PluginEntry(
      String kind,
      String name,
      int priority,
      String state,
      String reason,
      boolean chosen,
      String className,
      String location) {}

  @Override
  public Integer call() {
    List<PluginEntry> entries = entries(console.plugins().get().list());
    if (json) {
      Json.print(console.out(), new PluginList(entries));
    } else {
      table(entries);
    }
    return ExitCode.OK;
  }

  // The list comes in the order of choice, so that the first available one of a kind is the one
  // used.
  private static List<PluginEntry> entries(List<Plugin> plugins) {
    List<PluginEntry> entries = new ArrayList<>();
    Set<PluginKind> open = EnumSet.complementOf(EnumSet.of(PluginKind.ROUTER));
    for (Plugin plugin : plugins) {
      boolean chosen = plugin.isAvailable() && open.remove(plugin.kind());
      entries.add(
          new PluginEntry(
              HostOptions.key(plugin.kind()),
              plugin.name(),
              plugin.priority(),
              state(plugin.availability()),
              plugin.availability().detail(),
              chosen,
              plugin.className(),
              plugin.location()));
    }
    return entries;
  }

  private static String state(Availability availability) {
    return switch (availability) {
      case Availability.Available _ -> "ready";
      case Availability.Unavailable _ -> "unavailable";
      case Availability.Failed _ -> "failed";
    };
  }

  private void table(List<PluginEntry> entries) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("KIND", "NAME", "PRIORITY", "STATE", "FROM", "REASON"));
    for (PluginEntry entry : entries) {
      rows.add(
          List.of(
              PluginKind.valueOf(entry.kind().toUpperCase(Locale.ROOT)).title(),
              (entry.chosen() ? "*" : " ") + Visible.oneLine(entry.name()),
              Integer.toString(entry.priority()),
              entry.state(),
              fileName(entry.location()),
              Visible.oneLine(entry.reason())));
    }
    Table.print(console.out(), rows);
    if (entries.isEmpty()) {
      console.out().println("none: are the plugins' jars on the class path?");
    }
  }

  private static String fileName(String location) {
    String path = location.endsWith("/") ? location.substring(0, location.length() - 1) : location;
    return path.substring(path.lastIndexOf('/') + 1);
  }
}
