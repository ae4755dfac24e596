package dev.lorikeet.jlama.training;

import dev.lorikeet.cluster.Member;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.training.pipeline.StageOpener;
import dev.lorikeet.training.pipeline.StageWorker;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/** A stage of a pipeline in a process of its own. */
final class StageProcess {
  private static final String SECRET = "STAGE_SECRET";

  private StageProcess() {}

  /** Returns the program; joins where it is told. */
  static ProcessBuilder program(InetSocketAddress address, String secret) {
    ProcessBuilder program =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Xmx512m",
            "-cp",
            System.getProperty("java.class.path"),
            StageProcess.class.getName(),
            Integer.toString(address.getPort()));
    program.environment().put(SECRET, secret);
    return program.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD);
  }

  /** Runs in the child JVM. */
  public static void main(String[] args) {
    StageWorker.work(
        Member.join(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[0])),
            Secret.of(System.getenv(SECRET), SECRET),
            "process",
            Duration.ofMinutes(1)),
        StageOpener.of(
            new JlamaTrainableModelProvider(), Optional.empty(), Map.of("threads", "1")));
  }
}
