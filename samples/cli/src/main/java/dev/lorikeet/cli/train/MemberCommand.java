package dev.lorikeet.cli.train;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.options.Directories;
import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Member;
import dev.lorikeet.training.pipeline.StageOpener;
import dev.lorikeet.training.pipeline.StageWorker;
import dev.lorikeet.training.stage.TrainableModelProvider;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A stage of a pipeline in a process of its own. */
@Command(
    name = "member",
    sortOptions = false,
    description =
        "Joins a pipeline, such as 'lorikeet train --stages 2 --listen HOST:PORT' waits for, and computes one of its stages until it ends. The network between the machines has to be trusted: members prove to each other that they know the secret, but nothing is encrypted.")
public final class MemberCommand implements Callable<Integer> {
  private final Console console;

  @Option(
      names = "--join",
      required = true,
      paramLabel = "HOST:PORT",
      converter = Address.class,
      description = "Where the pipeline listens.")
  private InetSocketAddress join = InetSocketAddress.createUnresolved("localhost", 0);

  @Mixin private GroupSecret secret = new GroupSecret();

  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      description = "The model, where it is not in the directory in which the pipeline has it.")
  private Optional<Path> model = Optional.empty();

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads; as many as processors if not given.")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      description = "Training plugin to use; the best one if not given.")
  private Optional<String> backend = Optional.empty();

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description =
          "How long to try to join, and then to wait for other members (${DEFAULT-VALUE}).")
  private int timeout = 600;

  /** Creates the command. */
  public MemberCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    Optional<Path> directory = model.map(new Directories(console)::model);
    Map<String, String> options = new LinkedHashMap<>();
    threads.ifPresent(n -> options.put("threads", Integer.toString(n)));
    String name = "process " + ProcessHandle.current().pid();
    Group group = Member.join(join, secret.read(console), name, Duration.ofSeconds(timeout));
    StageWorker.work(
        group, StageOpener.of(TrainableModelProvider.find(backend), directory, options));
    return ExitCode.OK;
  }
}
