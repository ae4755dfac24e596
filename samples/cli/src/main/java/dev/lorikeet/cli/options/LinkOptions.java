package dev.lorikeet.cli.options;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Where links out of adapters' folders may lead. */
public final class LinkOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--trust-links",
      paramLabel = "DIR",
      description =
          "Folder that files of an adapter's folder may be links into; may be repeated. Links into Hugging Face's cache are always followed.")
  private List<Path> folders = new ArrayList<>();

  /** Returns the folders; one that is none is wrong usage. */
  public List<Path> folders() {
    for (Path folder : folders) {
      if (!Files.isDirectory(folder)) {
        throw new ParameterException(
            spec.commandLine(), "--trust-links: expected a directory, found " + folder);
      }
    }
    return List.copyOf(folders);
  }

  /** Returns them as a setting of the adapter store, if there are any. */
  Optional<String> option() {
    return folders.isEmpty()
        ? Optional.empty()
        : Optional.of(
            folders().stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator)));
  }
}
