package dev.lorikeet.bench.pipeline;

import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Member;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.training.pipeline.StageOpener;
import dev.lorikeet.training.pipeline.StageWorker;
import dev.lorikeet.training.stage.TrainableModelProvider;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The process of a stage. */
public final class StageProcess {
  static final Duration TIMEOUT = Duration.ofMinutes(2);
  private static final String SECRET = "LORIKEET_SECRET";

  private StageProcess() {}

  /** Returns the program, with the flags of this process. */
  static ProcessBuilder program(InetSocketAddress address, String secret, int threads) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(
        List.of("-cp", System.getProperty("java.class.path"), StageProcess.class.getName()));
    command.addAll(
        List.of(
            address.getHostString(), Integer.toString(address.getPort()), String.valueOf(threads)));
    ProcessBuilder program = new ProcessBuilder(command);
    program.environment().put(SECRET, secret);
    return program.redirectOutput(Redirect.DISCARD).redirectError(Redirect.INHERIT);
  }

  /** Computes a stage until the pipeline ends. */
  public static void main(String[] args) {
    Group group =
        Member.join(
            new InetSocketAddress(args[0], Integer.parseInt(args[1])),
            Secret.of(System.getenv(SECRET), SECRET),
            "process " + ProcessHandle.current().pid(),
            TIMEOUT);
    StageWorker.work(
        group,
        StageOpener.of(
            TrainableModelProvider.find(Optional.empty()),
            Optional.empty(),
            Map.of("threads", args[2])));
  }
}
