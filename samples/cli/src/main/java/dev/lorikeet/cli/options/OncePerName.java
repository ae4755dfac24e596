package dev.lorikeet.cli.options;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Stack;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Takes {@code NAME=PATH}, each name once: the last of two would win in silence. */
public final class OncePerName implements IParameterConsumer {
  /** Called by picocli. */
  public OncePerName() {}

  @Override
  @SuppressWarnings("JdkObsolete") // picocli's
  public void consumeParameters(Stack<String> arguments, ArgSpec option, CommandSpec command) {
    if (arguments.isEmpty()) {
      throw new ParameterException(
          command.commandLine(), "Missing required parameter for option '" + option + "'");
    }
    String argument = arguments.pop();
    int equals = argument.indexOf('=');
    if (equals < 1) {
      throw refusal(command, option, option.paramLabel(), argument);
    }
    Map<String, Path> paths = new LinkedHashMap<>(option.<Map<String, Path>>getValue());
    String name = argument.substring(0, equals);
    try {
      if (paths.put(name, Path.of(argument.substring(equals + 1))) != null) {
        throw refusal(command, option, "each name once", name + " twice");
      }
    } catch (InvalidPathException e) {
      throw refusal(command, option, "a path", String.valueOf(e.getMessage()));
    }
    option.setValue(paths);
  }

  private static ParameterException refusal(
      CommandSpec command, ArgSpec option, String expected, String found) {
    return new ParameterException(
        command.commandLine(), option + ": expected " + expected + ", found " + found);
  }
}
