package dev.lorikeet.training.data;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.Tokenizer;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Reads examples from files of JSON lines: UTF-8, one object a line, of one of these forms. Blank
 * lines are passed over. A file has texts, preferences or paraphrases, one of these alone.
 *
 * <ul>
 *   <li>{@code {"text": "..."}}: every token is learned.
 *   <li>{@code {"prompt": "...", "completion": "..."}}: one text, the second right behind the
 *       first; only the completion is learned, with the token that holds characters of both, if
 *       there is one.
 *   <li>{@code {"messages": [{"role": "user", "content": "..."}, ...]}}: a conversation, rendered
 *       by the model's chat template; only what the assistant says is learned, each turn up to
 *       where the next one begins, what ends the turn included.
 *   <li>{@code {"prompt": "...", "chosen": "...", "rejected": "..."}}: a preference.
 *   <li>{@code {"ids": [1, 2, 3], "labels": [-100, 2, 3]}}: tokens, used as they are; with labels,
 *       which need not be there, only those are learned that have their own id for a label. Labels
 *       are not shifted, as with Hugging Face.
 *   <li>{@code {"prompt_ids": [...], "chosen_ids": [...], "rejected_ids": [...]}}: a preference.
 *   <li>{@code {"prompt": "...", "paraphrase": "...", "completion": "..."}}: a paraphrase, a prompt
 *       in two wordings; the completion is learned behind each.
 *   <li>{@code {"prompt_ids": [...], "paraphrase_ids": [...], "completion_ids": [...]}}: a
 *       paraphrase.
 * </ul>
 *
 * <p>Prompts, their paraphrases, completions and answers may be lists of messages instead of texts,
 * all of an example alike; they are then rendered as one conversation.
 *
 * <p>Texts and prompts begin as the tokenizer begins them, with BOS where it adds one. Behind
 * texts, completions and answers comes the {@linkplain Builder#eosToken token that ends a text}, if
 * one is set and they don't end with it, as with TRL. Conversations have the special tokens that
 * the template gives them, and token ids are complete as they are. The first token of a sequence is
 * never learned, since nothing comes before it.
 *
 * <p>Immutable; safe for any number of threads if the tokenizer is, which it does not close.
 */
public final class ExampleReader {
  private static final int LINE_BYTES = 16 << 20;
  private static final int MOST_LINE_BYTES = 1 << 30;

  private final ExampleEncoder encoder;
  private final int maxTokens;
  private final Overlong overlong;
  private final int maxLineBytes;

  private ExampleReader(Builder builder) {
    this.encoder =
        new ExampleEncoder(builder.vocabulary, builder.tokenizer, builder.template, builder.eos);
    this.maxTokens = builder.maxTokens;
    this.overlong = builder.overlong;
    this.maxLineBytes = builder.maxLineBytes;
  }

  /**
   * Returns a builder of a reader of token ids.
   *
   * @param vocabulary how many tokens the model has, at least 1; other ids are refused
   */
  public static Builder builder(int vocabulary) {
    return new Builder(vocabulary);
  }

  /**
   * Reads all examples of a file. It is read line by line; the examples take 4 to 8 bytes of the
   * heap a token.
   *
   * @throws LorikeetException with {@code DATA_INVALID} if the file cannot be read, holds no
   *     example, or has bad lines: the first few are named with what was found and expected, and
   *     the others are counted
   */
  public ExampleSet read(Path file) {
    Reading reading = new Reading(file);
    try (FileChannel channel = UntrustedFile.open(Faults.DATA, file);
        Lines lines = new Lines(channel, maxLineBytes)) {
      while (!reading.enough() && lines.next()) {
        if (!lines.blank()) {
          read(lines, reading);
        }
      }
      return reading.result();
    } catch (IOException e) {
      throw Faults.DATA.invalid(file, "a readable file", e, e);
    } catch (OutOfMemoryError e) {
      reading.clear();
      throw Faults.DATA.invalid(
          file,
          "examples that fit into the heap, of which the JVM may use "
              + Runtime.getRuntime().maxMemory()
              + " bytes (-Xmx)",
          "more, up to line " + reading.line(),
          e);
    }
  }

  private void read(Lines lines, Reading reading) {
    String where = "line " + lines.number();
    reading.at(lines.number());
    try {
      if (lines.tooLong()) {
        throw Faults.DATA.invalid(where, "at most " + maxLineBytes + " bytes", "more");
      }
      JsonFile line = JsonFile.parse(Faults.DATA, where, lines.bytes());
      Example example = new ExampleLine(line, encoder).read();
      reading.checkKind(where, example);
      fit(where, example, reading);
    } catch (LorikeetException e) {
      if (e.code() != Code.DATA_INVALID) {
        throw e;
      }
      reading.bad(e);
    }
  }

  private void fit(String where, Example example, Reading reading) {
    int length = Shortened.longest(example);
    if (length <= maxTokens) {
      reading.add(example);
      return;
    }
    if (overlong == Overlong.REFUSE) {
      throw Faults.DATA.invalid(
          where,
          "at most " + maxTokens + " tokens a sequence, since longer ones are to be refused",
          length);
    }
    Optional<Example> shorter =
        overlong == Overlong.TRUNCATE ? Shortened.of(example, maxTokens) : Optional.empty();
    shorter.ifPresentOrElse(reading::addShortened, reading::leaveOut);
  }

  /** Builds readers. */
  public static final class Builder {
    private final int vocabulary;
    private Optional<Tokenizer> tokenizer = Optional.empty();
    private Optional<ChatTemplate> template = Optional.empty();
    private OptionalInt eos = OptionalInt.empty();
    private int maxTokens = Integer.MAX_VALUE;
    private Overlong overlong = Overlong.REFUSE;
    private int maxLineBytes = LINE_BYTES;

    private Builder(int vocabulary) {
      if (vocabulary < 1) {
        throw new IllegalArgumentException("vocabulary: expected at least 1, found " + vocabulary);
      }
      this.vocabulary = vocabulary;
    }

    /** Sets what encodes texts; without it only token ids are read. */
    public Builder tokenizer(Tokenizer value) {
      tokenizer = Optional.of(value);
      return this;
    }

    /** Sets what renders conversations; without it none are read. */
    public Builder chatTemplate(ChatTemplate value) {
      template = Optional.of(value);
      return this;
    }

    /** Sets the token that goes behind texts, completions and answers; none by default. */
    public Builder eosToken(int id) {
      Objects.checkIndex(id, vocabulary);
      eos = OptionalInt.of(id);
      return this;
    }

    /**
     * Sets how many tokens a sequence may have; any number by default.
     *
     * @param most at least 2; of a preference, the prompt with either answer
     * @param otherwise what becomes of longer ones
     */
    public Builder maxTokens(int most, Overlong otherwise) {
      if (most < 2) {
        throw new IllegalArgumentException("max tokens: expected at least 2, found " + most);
      }
      maxTokens = most;
      overlong = Objects.requireNonNull(otherwise, "otherwise");
      return this;
    }

    /** Sets how many bytes a line may have; 16 MiB by default. */
    public Builder maxLineBytes(int most) {
      if (most < 1 || most > MOST_LINE_BYTES) {
        throw new IllegalArgumentException(
            "max line bytes: expected 1 to " + MOST_LINE_BYTES + ", found " + most);
      }
      maxLineBytes = most;
      return this;
    }

    /** Returns the reader. */
    public ExampleReader build() {
      return new ExampleReader(this);
    }
  }
}
