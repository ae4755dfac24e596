package dev.lorikeet.jlama.generator;

import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;

/** What the generators of one model have in common, whatever adapters they use. Thread-safe. */
final class SharedModel implements AutoCloseable {
  private final BaseModel model;
  private final Optional<Lorikeet> owned;
  private final TokenizerModel files;
  private final LorikeetTokenizer tokenizer;
  private final Sessions sessions;

  /** The longest sequence that the page pool is known to hold; learnt from refusals. */
  private final AtomicInteger positions;

  private Optional<Config> config = Optional.empty();
  private volatile boolean closed;

  /**
   * Creates it.
   *
   * @param owned what is closed with this object
   * @param sessionTokens how many tokens all sessions together may keep
   */
  SharedModel(BaseModel model, Optional<Lorikeet> owned, long sessionTokens) {
    this.model = model;
    this.owned = owned;
    this.files = ModelFiles.tokenizer(model.info().directory());
    this.tokenizer = new LorikeetTokenizer(model, files);
    this.sessions = new Sessions(sessionTokens);
    this.positions = new AtomicInteger(model.info().maxPositions());
  }

  BaseModel model() {
    return model;
  }

  TokenizerModel files() {
    return files;
  }

  LorikeetTokenizer tokenizer() {
    return tokenizer;
  }

  Sessions sessions() {
    return sessions;
  }

  /** Returns Jlama's configuration, read when first asked for: its rotary tables can be large. */
  synchronized Config config() {
    if (config.isEmpty()) {
      List<Integer> begin = tokenizer.begin();
      config =
          Optional.of(ModelFiles.config(model.info(), begin.isEmpty() ? -1 : begin.getFirst()));
    }
    return config.get();
  }

  /**
   * Submits a request for as many tokens as the page pool can ever hold. Applications ask Jlama for
   * the model's whole context by default, which may be more than that.
   *
   * @param length the length of the prompt
   * @param maxTokens how many tokens are wanted at most
   */
  Generation submit(GenerationRequest.Builder request, int length, int maxTokens) {
    int most = maxTokens;
    while (true) {
      int known = positions.get();
      most = Math.clamp(known - (long) length, 1, most);
      try {
        return model.submit(request.maxTokens(most).build());
      } catch (LorikeetException e) {
        if (e.code() != Code.TOO_LARGE || most == 1) {
          throw e;
        }
        int refused = length + most;
        positions.accumulateAndGet(Math.max(length + 1, refused - refused / 8), Math::min);
      }
    }
  }

  void checkOpen() {
    if (closed) {
      throw new LorikeetException(Code.CLOSED, "the generator was closed");
    }
  }

  /** Forgets the sessions and closes what is owned. Idempotent. */
  @Override
  public void close() {
    closed = true;
    owned.ifPresent(Lorikeet::close);
    sessions.clear();
  }
}
