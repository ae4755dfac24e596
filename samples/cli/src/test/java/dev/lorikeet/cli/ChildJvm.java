package dev.lorikeet.cli;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A JVM beside the tests' own, with its flags and class path, to be killed. */
final class ChildJvm {
  private ChildJvm() {}

  /**
   * Returns how to start one.
   *
   * @param prefix what the command begins with
   * @param root where it may leave a report of its crash
   * @param temporary its folder of temporary files
   */
  static ProcessBuilder of(
      List<String> prefix, Path root, Path temporary, Class<?> program, List<String> args) {
    List<String> command = new ArrayList<>(prefix);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(option -> !option.startsWith("-Dlorikeet.") && !option.startsWith("-agentlib"))
        .forEach(command::add);
    command.addAll(
        List.of(
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-Djava.io.tmpdir=" + temporary,
            "-XX:ErrorFile=" + root.resolve("crash-%p.log"),
            "-cp",
            System.getProperty("java.class.path"),
            program.getName()));
    command.addAll(args);
    return new ProcessBuilder(command).redirectErrorStream(true);
  }
}
