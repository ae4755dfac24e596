package dev.lorikeet.cli.options;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.model.Prompt;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options that give prompts: in words, from a file, or from the standard input. */
public final class PromptOptions {
  private static final int MAX_BYTES = 64 << 20;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-p", "--prompt"},
      paramLabel = "TEXT",
      description = "Prompt; may be repeated. Without any prompt the standard input is read.")
  private List<String> texts = new ArrayList<>();

  @Option(
      names = {"-f", "--prompt-file"},
      paramLabel = "FILE",
      description = "File with one prompt in UTF-8, '-' for the standard input; may be repeated.")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--chat",
      description =
          "Take a prompt as the user's message and apply the adapter's chat template, if it has one, or the model's.")
  private boolean chat;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "System message before the user's; needs --chat.")
  private Optional<String> system = Optional.empty();

  /** Reads the prompts, at least one. */
  public List<NamedPrompt> read(Console console) {
    if (system.isPresent() && !chat) {
      throw new ParameterException(spec.commandLine(), "--system: expected --chat as well");
    }
    List<String> all = new ArrayList<>(texts);
    for (Path file : files) {
      all.add(file.toString().equals("-") ? standardInput(console) : file(file));
    }
    if (all.isEmpty()) {
      if (!console.inputIsPiped()) {
        throw new ParameterException(
            spec.commandLine(),
            "expected --prompt, --prompt-file, or a prompt on the standard input");
      }
      all.add(standardInput(console));
    }
    return all.stream().map(text -> new NamedPrompt(text, prompt(text))).toList();
  }

  private Prompt prompt(String text) {
    if (!chat) {
      return new Prompt.Text(text);
    }
    List<Prompt.ChatMessage> messages = new ArrayList<>();
    system.ifPresent(content -> messages.add(Prompt.ChatMessage.system(content)));
    messages.add(Prompt.ChatMessage.user(text));
    return Prompt.Chat.of(messages);
  }

  private static String standardInput(Console console) {
    try {
      return decode("standard input", console.in());
    } catch (IOException e) {
      throw unreadable("standard input", e);
    }
  }

  private static String file(Path file) {
    try {
      try (InputStream in = Files.newInputStream(file)) {
        return decode(file.toString(), in);
      }
    } catch (NoSuchFileException e) {
      throw unreadable(file.toString(), new IOException("no such file", e));
    } catch (IOException e) {
      throw unreadable(file.toString(), e);
    }
  }

  // A file ends with a line end that its writer did not mean as part of the prompt.
  private static String decode(String name, InputStream in) throws IOException {
    byte[] bytes = in.readNBytes(MAX_BYTES + 1);
    if (bytes.length > MAX_BYTES) {
      throw unreadable(name, new IOException("expected at most " + MAX_BYTES + " bytes"));
    }
    try {
      String text = UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.replaceFirst("\\r?\\n\\z", "");
    } catch (CharacterCodingException e) {
      throw unreadable(name, new IOException("expected UTF-8", e));
    }
  }

  private static LorikeetException unreadable(String name, IOException cause) {
    return new LorikeetException(
        LorikeetException.Code.INVALID_REQUEST,
        "prompt from " + name + ": " + cause.getMessage(),
        cause);
  }

  /**
   * A prompt as people wrote it and as the model takes it.
   *
   * @param text what was written
   * @param prompt what the model takes
   */
  public record NamedPrompt(String text, Prompt prompt) {}
}
