package dev.lorikeet.host.stream;

import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.routing.Mixture;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of one generation: one thread appends, any number read, each with a cursor of its own
 * and from the first token.
 */
public final class TokenBuffer {
  /*
   * Idea: readers, not the writer, make objects of tokens. Layout: chunks of arrays that never move, chained; ids,
   * log-probabilities and lengths of texts in one chain, the characters of all texts one after another in a second. The
   * volatile count publishes everything before it, so that the arrays and links need no more.
   *
   * Cost: the first chunks come with the buffer, made by the thread that submits, with room for FIRST tokens if there
   * may be so many; beyond those a token of four characters costs 20 bytes, in pieces of 256 tokens.
   */
  private static final int FIRST = 1024;
  private static final int NEXT = 256;
  private static final int CHARACTERS = 4;

  private static final class Chunk {
    private final int[] ids;
    private final float[] logProbabilities;
    private final int[] lengths;
    private final @Nullable Mixture[] mixtures;
    private @Nullable Chunk next;

    Chunk(int size, boolean withMixtures) {
      ids = new int[size];
      logProbabilities = new float[size];
      lengths = new int[size];
      mixtures = new Mixture[withMixtures ? size : 0];
    }
  }

  private static final class Text {
    private final char[] characters;
    private @Nullable Text next;

    Text(int size) {
      characters = new char[size];
    }
  }

  private final Chunk firstChunk;
  private final Text firstText;
  private final boolean withMixtures;
  private volatile int count;

  // The writer's place.
  private Chunk chunk;
  private int used;
  private Text text;
  private int usedText;

  /**
   * Creates an empty buffer.
   *
   * @param maxTokens how many tokens there will be at most
   * @param withMixtures whether they come with mixtures
   */
  public TokenBuffer(int maxTokens, boolean withMixtures) {
    this.withMixtures = withMixtures;
    int first = Math.min(maxTokens, FIRST);
    firstChunk = new Chunk(first, withMixtures);
    firstText = new Text(first * CHARACTERS);
    chunk = firstChunk;
    text = firstText;
  }

  /** Returns how many tokens have been appended. */
  int count() {
    return count;
  }

  /** Appends a token; for the writer. */
  void append(int id, float logProbability, CharSequence piece, Optional<Mixture> mixture) {
    if (used == chunk.ids.length) {
      Chunk next = new Chunk(NEXT, withMixtures);
      chunk.next = next;
      chunk = next;
      used = 0;
    }
    chunk.ids[used] = id;
    chunk.logProbabilities[used] = logProbability;
    chunk.lengths[used] = piece.length();
    if (mixture.isPresent()) {
      chunk.mixtures[used] = mixture.get();
    }
    used++;
    for (int i = 0; i < piece.length(); i++) {
      if (usedText == text.characters.length) {
        Text next = new Text(NEXT * CHARACTERS);
        text.next = next;
        text = next;
        usedText = 0;
      }
      text.characters[usedText++] = piece.charAt(i);
    }
    publish();
  }

  @SuppressWarnings("NonAtomicVolatileUpdate") // there is one writer
  private void publish() {
    count++;
  }

  /** Returns a cursor before the first token. */
  Cursor cursor() {
    return new Cursor();
  }

  /** One reader's place; for one thread at a time. */
  final class Cursor {
    private Chunk chunk = firstChunk;
    private int at;
    private Text text = firstText;
    private int textAt;
    private int index;

    boolean hasNext() {
      return index < count;
    }

    /** Returns the next token, which must be there. */
    GeneratedToken next() {
      if (at == chunk.ids.length) {
        chunk = linked(chunk.next);
        at = 0;
      }
      GeneratedToken token =
          GeneratedToken.of(
              index,
              chunk.ids[at],
              read(chunk.lengths[at]),
              chunk.logProbabilities[at],
              withMixtures ? Optional.ofNullable(chunk.mixtures[at]) : Optional.empty());
      at++;
      index++;
      return token;
    }

    private String read(int length) {
      if (length <= text.characters.length - textAt) {
        textAt += length;
        return new String(text.characters, textAt - length, length);
      }
      char[] whole = new char[length];
      for (int done = 0; done < length; ) {
        if (textAt == text.characters.length) {
          text = linked(text.next);
          textAt = 0;
        }
        int part = Math.min(length - done, text.characters.length - textAt);
        System.arraycopy(text.characters, textAt, whole, done, part);
        textAt += part;
        done += part;
      }
      return new String(whole);
    }

    private static <T> T linked(@Nullable T next) {
      if (next == null) {
        throw new IllegalStateException("token buffer: expected a token, found the end");
      }
      return next;
    }
  }
}
