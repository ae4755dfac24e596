package dev.lorikeet.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The tokenizer of a model directory or a GGUF file: Hugging Face's own, from {@code
 * tokenizer.json} or what is made like it of the file's metadata, of {@code tokenizer.model} or of
 * {@code vocab.json} and {@code merges.txt}, without its truncation and padding, which transformers
 * turns off as well. Safe for any number of threads.
 *
 * <p>Encoding runs on the thread that asks for it. The native library cannot be interrupted, so it
 * is given a bounded piece of text at a time: where words are encoded one by one, which is so with
 * nearly all tokenizers of language models, some 64 thousand characters, or up to 256 KiB between
 * two ends of words, and otherwise the whole text up to 1 MiB. Usual text takes some milliseconds
 * per 100 kB; the worst, blanks alone, a second of a processor for 256 KiB and three for 1 MiB.
 * Longer texts are refused before the library sees them. The file is checked before the library
 * sees it, too.
 *
 * <p>The token that begins a sequence: where the post-processor of {@code tokenizer.json} adds
 * special tokens, it alone decides. Where it adds none and {@code tokenizer_config.json} says
 * {@code add_bos_token: true}, BOS goes first, as with the Llama tokenizers of transformers 4 and
 * with Jlama. ({@code PreTrainedTokenizerFast}, and everything in transformers 5, leaves that key
 * unread when there is a {@code tokenizer.json}.) An {@code add_eos_token} is never followed: a
 * prompt does not end there.
 */
public final class HfTokenizer implements Tokenizer {
  private final TokenizersLibrary library;
  private final long handle;
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private boolean closed;

  private final Detokenizer detokenizer;
  private final OptionalInt bosId;
  private final OptionalInt eosId;
  private final Map<String, Integer> special;
  private final Affixes affixes;
  private final TextLimits limits;

  private HfTokenizer(
      TokenizersLibrary library,
      long handle,
      TokenizerFile file,
      CheckedTokenizer checked,
      Detokenizer detokenizer) {
    this.library = library;
    this.handle = handle;
    this.detokenizer = detokenizer;
    this.bosId = id(file.namedToken("bos_token"), file);
    this.eosId = id(file.namedToken("eos_token"), file);
    this.special = file.specialTokens();
    this.limits = checked.limits();
    this.affixes =
        file.addsBos() && bosId.isPresent() && checked.affixes().isEmpty()
            ? new Affixes(List.of(bosId.getAsInt()), List.of())
            : checked.affixes();
  }

  private static OptionalInt id(Optional<String> token, TokenizerFile file) {
    Optional<Integer> id = token.flatMap(file::id);
    return id.isPresent() ? OptionalInt.of(id.get()) : OptionalInt.empty();
  }

  /**
   * Reads the tokenizer of a model directory or a GGUF file.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED} for files
   *     that are missing, damaged or beyond what is supported, {@code PLUGIN_UNAVAILABLE} where the
   *     native library does not load
   */
  public static HfTokenizer open(Path directory) {
    TokenizerFile file = TokenizerFile.read(directory);
    CheckedTokenizer checked = file.check();
    Detokenizer detokenizer = new Detokenizer(file);
    TokenizersLibrary library = NativeTokenizers.library();
    long handle;
    try {
      handle = library.createTokenizerFromString(wellFormed(checked.json().toString()));
    } catch (RuntimeException e) {
      throw new LorikeetException(
          Code.MODEL_INVALID,
          file.source()
              + ": expected a tokenizer that Hugging Face's library reads, found: "
              + e.getMessage(),
          e);
    }
    return new HfTokenizer(library, handle, file, checked, detokenizer);
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    return encodePieces(text, addSpecialTokens, Integer.MAX_VALUE, () -> {});
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens, EncodingLimit limit) {
    checkLength(text, limit.tokens());
    return encodePieces(text, addSpecialTokens, limit.tokens(), limit.checkTime());
  }

  @Override
  public void checkLength(String text, int tokens) {
    long most = limits.bytes(tokens);
    long bytes = Utf8.length(text);
    if (bytes > most) {
      throw invalid(
          "expected at most "
              + most
              + " bytes, since "
              + tokens
              + " tokens of this tokenizer stand for no more, found "
              + bytes);
    }
  }

  private int[] encodePieces(
      String text, boolean addSpecialTokens, int mostTokens, Runnable checkTime) {
    String encoded = wellFormed(text);
    int[] ends = TextPieces.ends(encoded, limits);
    int[] ids = new int[0];
    int start = 0;
    for (int end : ends) {
      checkTime.run();
      int[] more = encodeNatively(encoded.substring(start, end));
      int count = ids.length;
      ids = Arrays.copyOf(ids, count + more.length);
      System.arraycopy(more, 0, ids, count, more.length);
      start = TextPieces.next(end, encoded, limits);
      if (ids.length > mostTokens && end < encoded.length()) {
        throw invalid(
            "expected at most "
                + mostTokens
                + " tokens, found "
                + ids.length
                + " in the first "
                + end
                + " of "
                + encoded.length()
                + " characters");
      }
    }
    return addSpecialTokens ? affixes.around(ids) : ids;
  }

  private int[] encodeNatively(String text) {
    Lock reading = lock.readLock();
    reading.lock();
    try {
      checkOpen();
      long encoding = library.encode(handle, text, false);
      try {
        return Arrays.stream(library.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
      } finally {
        library.deleteEncoding(encoding);
      }
    } catch (IllegalStateException e) {
      throw e;
    } catch (RuntimeException e) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "text: expected one that the tokenizer encodes, found: " + e.getMessage(),
          e);
    } finally {
      reading.unlock();
    }
  }

  private static LorikeetException invalid(String message) {
    return new LorikeetException(Code.INVALID_REQUEST, "text: " + message);
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    Lock reading = lock.readLock();
    reading.lock();
    try {
      checkOpen();
    } finally {
      reading.unlock();
    }
    StreamDecoder stream = stream(skipSpecialTokens);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.next(id));
    }
    return text.append(stream.finish()).toString();
  }

  @Override
  public StreamDecoder stream(boolean skipSpecialTokens) {
    return detokenizer.stream(skipSpecialTokens);
  }

  @Override
  public OptionalInt specialToken(String text) {
    Integer id = special.get(text);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** Returns the id of the token that begins a sequence. */
  OptionalInt bosTokenId() {
    return bosId;
  }

  /**
   * Returns the id of {@code eos_token} of {@code tokenizer_config.json} or {@code
   * special_tokens_map.json}, the token that ends a text to learn from and a generation. A model
   * may know more tokens that end a generation.
   */
  public OptionalInt eosTokenId() {
    return eosId;
  }

  /** Returns one more than the highest token id, added tokens included. */
  int vocabularySize() {
    return detokenizer.size();
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("tokenizer: expected an open one, found it closed");
    }
  }

  private static String wellFormed(String text) {
    int i = 0;
    while (i < text.length() && !isLone(text, i)) {
      i++;
    }
    if (i == text.length()) {
      return text;
    }
    StringBuilder repaired = new StringBuilder(text);
    for (; i < text.length(); i++) {
      if (isLone(text, i)) {
        repaired.setCharAt(i, '\uFFFD');
      }
    }
    return repaired.toString();
  }

  private static boolean isLone(String text, int i) {
    char c = text.charAt(i);
    if (Character.isHighSurrogate(c)) {
      return i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1));
    }
    return Character.isLowSurrogate(c)
        && (i == 0 || !Character.isHighSurrogate(text.charAt(i - 1)));
  }

  @Override
  public void close() {
    Lock writing = lock.writeLock();
    writing.lock();
    try {
      if (!closed) {
        closed = true;
        library.deleteTokenizer(handle);
      }
    } finally {
      writing.unlock();
    }
  }
}
