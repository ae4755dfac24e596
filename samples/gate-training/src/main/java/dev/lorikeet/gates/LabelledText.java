package dev.lorikeet.gates;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntSupplier;

/**
 * Text of one adapter's kind.
 *
 * @param adapter the adapter's name
 * @param words the words in their order
 */
public record LabelledText(String adapter, List<String> words) {
  public LabelledText {
    words = List.copyOf(words);
  }

  private static final long MAX_BYTES = 256 << 20;

  /**
   * Reads a text file in UTF-8.
   *
   * @throws LorikeetException with code {@code INVALID_REQUEST} that names the file
   */
  public static LabelledText read(String adapter, Path file) {
    String text;
    try {
      if (Files.exists(file) && !(Files.isRegularFile(file) && Files.size(file) <= MAX_BYTES)) {
        throw unreadable(file, "expected a file of at most " + MAX_BYTES + " bytes", null);
      }
      text =
          UTF_8.newDecoder().decode(java.nio.ByteBuffer.wrap(Files.readAllBytes(file))).toString();
    } catch (NoSuchFileException e) {
      throw unreadable(file, "no such file", e);
    } catch (CharacterCodingException e) {
      throw unreadable(file, "expected UTF-8", e);
    } catch (IOException e) {
      throw unreadable(file, String.valueOf(e.getMessage()), e);
    }
    List<String> words = Arrays.stream(text.strip().split("\\s+")).toList();
    if (words.size() < 2) {
      throw unreadable(file, "expected text, found " + text.strip().length() + " characters", null);
    }
    return new LabelledText(adapter, words);
  }

  private static LorikeetException unreadable(
      Path file, String what, @org.jspecify.annotations.Nullable Throwable cause) {
    String message = "text from " + file + ": " + what;
    return cause == null
        ? new LorikeetException(Code.INVALID_REQUEST, message)
        : new LorikeetException(Code.INVALID_REQUEST, message, cause);
  }

  /**
   * Cuts the text into passages, the last words that do not fill one left out.
   *
   * @param length asked for the number of words of each passage
   */
  List<String> passages(IntSupplier length) {
    List<String> passages = new ArrayList<>();
    int from = 0;
    for (int count = length.getAsInt(); from + count <= words.size(); count = length.getAsInt()) {
      passages.add(String.join(" ", words.subList(from, from + count)));
      from += count;
    }
    return passages;
  }

  /**
   * Splits the text in two: training and validation.
   *
   * @param share how much goes into the second part
   */
  List<LabelledText> split(double share) {
    int at = (int) Math.round(words.size() * (1 - share));
    return List.of(
        new LabelledText(adapter, words.subList(0, at)),
        new LabelledText(adapter, words.subList(at, words.size())));
  }
}
