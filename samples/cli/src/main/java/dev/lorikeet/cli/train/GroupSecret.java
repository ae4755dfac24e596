package dev.lorikeet.cli.train;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cluster.Secret;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The secret of a group: from a file or the environment, where no list of processes shows it. */
final class GroupSecret {
  /** The environment variable with the secret. */
  static final String VARIABLE = "LORIKEET_SECRET";

  @Option(
      names = "--secret-file",
      paramLabel = "FILE",
      description =
          "The secret that the members of a pipeline share, of at least 16 characters; otherwise the environment variable LORIKEET_SECRET has it.")
  private Optional<Path> file = Optional.empty();

  Secret read(Console console) {
    return file.map(Secret::ofFile)
        .or(
            () ->
                Optional.ofNullable(console.environment().get(VARIABLE))
                    .map(text -> Secret.of(text, "environment variable " + VARIABLE)))
        .orElseThrow(
            () ->
                new LorikeetException(
                    Code.INVALID_CONFIG,
                    "--secret-file, "
                        + VARIABLE
                        + ": expected the secret of the pipeline in one of them, found neither"));
  }
}
