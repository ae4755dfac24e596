package dev.lorikeet.cli.train;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cluster.Coordinator;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.training.pipeline.PipelineSchedule;
import dev.lorikeet.training.pipeline.PipelineSetup;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Whether the model is cut into stages, and where they are. */
final class PipelineOptions {
  private static final Duration LOCAL_TIMEOUT = Duration.ofMinutes(1);
  private static final Duration REMOTE_TIMEOUT = Duration.ofMinutes(10);

  @Option(
      names = "--stages",
      paramLabel = "N",
      description =
          "Cut the model into a pipeline of so many stages of layers, each in a process of its own (${DEFAULT-VALUE}).")
  private int stages = 1;

  @Option(
      names = "--pipeline-schedule",
      paramLabel = "gpipe|1f1b|lora-aware",
      converter = ScheduleName.class,
      description = "In which order stages compute (lora-aware).")
  private PipelineSchedule schedule = PipelineSchedule.LORA_AWARE;

  @Option(
      names = "--listen",
      paramLabel = "HOST:PORT",
      converter = Address.class,
      description =
          "Start no processes: wait here for 'lorikeet member' to join, one for each stage but the last.")
  private Optional<InetSocketAddress> listen = Optional.empty();

  @Mixin private GroupSecret secret = new GroupSecret();

  /** Reads the name of a schedule. */
  private static final class ScheduleName implements ITypeConverter<PipelineSchedule> {
    @Override
    public PipelineSchedule convert(String name) {
      return Stream.of(PipelineSchedule.values())
          .filter(schedule -> schedule.title().equals(name))
          .findFirst()
          .orElseThrow(
              () ->
                  new TypeConversionException(
                      "expected "
                          + Stream.of(PipelineSchedule.values())
                              .map(PipelineSchedule::title)
                              .toList()
                          + ", found '"
                          + name
                          + "'"));
    }
  }

  /** Returns how many threads each stage of this machine gets. */
  int threads(Optional<Integer> asked) {
    int local = listen.isPresent() ? 1 : Math.max(1, stages);
    return asked.orElse(Math.max(1, Runtime.getRuntime().availableProcessors() / local));
  }

  /**
   * Returns the pipeline, if there is to be one.
   *
   * @param mainClass of the command line
   * @param arguments further arguments of the processes that are started
   */
  Optional<PipelineSetup> setup(Console console, String mainClass, List<String> arguments) {
    if (stages == 1 && listen.isEmpty()) {
      return Optional.empty();
    }
    if (listen.isPresent()) {
      return Optional.of(
          new PipelineSetup(
              stages,
              schedule,
              listen.get(),
              secret.read(console),
              Optional.empty(),
              REMOTE_TIMEOUT));
    }
    String text = Secret.newText();
    return Optional.of(
        new PipelineSetup(
            stages,
            schedule,
            Coordinator.LOCAL,
            Secret.of(text, "a new secret"),
            Optional.of(member(mainClass, text, arguments)),
            LOCAL_TIMEOUT));
  }

  private static Function<InetSocketAddress, ProcessBuilder> member(
      String mainClass, String secret, List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(option -> !option.startsWith("-agentlib") && !option.startsWith("-Xrunjdwp"))
        .forEach(command::add);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), mainClass));
    command.add("member");
    command.addAll(arguments);
    return address -> {
      ProcessBuilder program = new ProcessBuilder(command);
      program
          .command()
          .addAll(List.of("--join", address.getHostString() + ":" + address.getPort()));
      program.environment().put(GroupSecret.VARIABLE, secret);
      return program.redirectOutput(Redirect.DISCARD).redirectError(Redirect.INHERIT);
    };
  }
}
