package dev.lorikeet.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The tokenizer of a model directory: Hugging Face's own, from {@code tokenizer.json}, without its
 * truncation and padding, which transformers turns off as well. Safe for any number of threads.
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
  private final boolean prependsBos;

  private HfTokenizer(TokenizersLibrary library, long handle, TokenizerFile file) {
    this.library = library;
    this.handle = handle;
    this.detokenizer = new Detokenizer(file);
    this.bosId = id(file.namedToken("bos_token"), file);
    library.disableTruncation(handle);
    library.disablePadding(handle);
    this.prependsBos = file.addsBos() && bosId.isPresent() && encodeNatively("", true).length == 0;
  }

  private static OptionalInt id(Optional<String> token, TokenizerFile file) {
    Optional<Integer> id = token.flatMap(file::id);
    return id.isPresent() ? OptionalInt.of(id.get()) : OptionalInt.empty();
  }

  /**
   * Reads the tokenizer of a model directory.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED} for files
   *     that are missing, damaged or beyond what is supported, {@code PLUGIN_UNAVAILABLE} where the
   *     native library does not load
   */
  public static HfTokenizer open(Path directory) {
    TokenizerFile file = TokenizerFile.read(directory);
    TokenizersLibrary library = NativeTokenizers.library();
    long handle;
    try {
      handle = library.createTokenizerFromString(file.text());
    } catch (RuntimeException e) {
      throw new LorikeetException(
          Code.MODEL_INVALID,
          directory.resolve("tokenizer.json")
              + ": expected a tokenizer that Hugging Face's library reads, found: "
              + e.getMessage(),
          e);
    }
    try {
      return new HfTokenizer(library, handle, file);
    } catch (RuntimeException | Error e) {
      library.deleteTokenizer(handle);
      throw e;
    }
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    int[] ids = encodeNatively(wellFormed(text), addSpecialTokens);
    if (!addSpecialTokens || !prependsBos) {
      return ids;
    }
    int[] withBos = new int[ids.length + 1];
    withBos[0] = bosId.getAsInt();
    System.arraycopy(ids, 0, withBos, 1, ids.length);
    return withBos;
  }

  private int[] encodeNatively(String text, boolean addSpecialTokens) {
    Lock reading = lock.readLock();
    reading.lock();
    try {
      checkOpen();
      long encoding = library.encode(handle, text, addSpecialTokens);
      try {
        return Arrays.stream(library.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
      } finally {
        library.deleteEncoding(encoding);
      }
    } finally {
      reading.unlock();
    }
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    long[] wide = Arrays.stream(ids).filter(id -> id >= 0).asLongStream().toArray();
    Lock reading = lock.readLock();
    reading.lock();
    try {
      checkOpen();
      return detokenizer.cleanUp(library.decode(handle, wide, skipSpecialTokens));
    } finally {
      reading.unlock();
    }
  }

  @Override
  public StreamDecoder stream(boolean skipSpecialTokens) {
    return detokenizer.stream(skipSpecialTokens);
  }

  /** Returns the id of the token that begins a sequence. */
  OptionalInt bosTokenId() {
    return bosId;
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
