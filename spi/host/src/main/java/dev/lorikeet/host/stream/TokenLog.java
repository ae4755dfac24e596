package dev.lorikeet.host.stream;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Usage;
import dev.lorikeet.routing.Mixture;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The tokens of one generation as they come, and its end. Written by the decoding thread, read by
 * any number of subscribers, streams and waiters, each from the first token at its own pace.
 */
public final class TokenLog implements Generation {
  /*
   * Idea: the writer never waits for a reader, and pays for one only while it waits: it publishes with a volatile
   * write, then looks whether anybody waits, and if so leaves it to the relay to wake them. A reader adds itself to
   * those who wait, then looks again. One of the two sees the other. Tokens and the result become objects on the
   * threads of those who ask for them.
   *
   * A reader that reads the end before it reads how many tokens there are has seen all of them when it finds none after
   * the end.
   */

  /** How a generation stands. */
  private sealed interface State {
    record Running() implements State {}

    record Finished(FinishReason reason, Usage usage) implements State {}

    record Failed(LorikeetException failure) implements State {}
  }

  private static final State RUNNING = new State.Running();

  private final TokenBuffer tokens;
  private final AtomicReference<State> state = new AtomicReference<>(RUNNING);
  private final Waiters forTokens = new Waiters();
  private final Waiters forEnd = new Waiters();
  private final Relay.Line line;
  private final Writer writer;
  private final AtomicBoolean completes = new AtomicBoolean();
  private final CompletableFuture<GenerationResult> completion;

  /**
   * Creates an empty log.
   *
   * @param relay wakes readers
   * @param tokens an empty buffer, from now on this log's
   * @param writer what appends; told when somebody asks for an early end
   */
  public TokenLog(Relay relay, TokenBuffer tokens, Writer writer) {
    this.tokens = tokens;
    this.writer = writer;
    this.completion = new ResultFuture<>(writer);
    this.line = relay.line(this::wake);
  }

  /** Appends a token, unless the generation has ended. */
  public void append(int id, float logProbability, CharSequence text, Optional<Mixture> mixture) {
    if (!ended()) {
      tokens.append(id, logProbability, text, mixture);
      if (!forTokens.isEmpty()) {
        line.signal();
      }
    }
  }

  public void finish(FinishReason reason, Usage usage) {
    end(new State.Finished(reason, usage));
  }

  public void fail(LorikeetException failure) {
    end(new State.Failed(failure));
  }

  private void end(State end) {
    if (state.compareAndSet(RUNNING, end) && !(forTokens.isEmpty() && forEnd.isEmpty())) {
      line.signal();
    }
  }

  private void wake() {
    forTokens.wakeAll();
    if (ended()) {
      forEnd.wakeAll();
    }
  }

  boolean ended() {
    return !(state.get() instanceof State.Running);
  }

  @Override
  public void cancel() {
    if (!ended()) {
      writer.cancel();
    }
  }

  @Override
  public GenerationResult await() {
    await(forEnd, this::ended, "the generation");
    return switch (state.get()) {
      case State.Running running -> throw new IllegalStateException("expected the end");
      case State.Finished(FinishReason reason, Usage usage) -> result(reason, usage);
      case State.Failed(LorikeetException failure) -> throw again(failure);
    };
  }

  /** Returns a fresh exception with the reader's own stack; the original is its cause. */
  private static LorikeetException again(LorikeetException failure) {
    return new LorikeetException(failure.code(), String.valueOf(failure.getMessage()), failure);
  }

  private void await(Waiters waiters, BooleanSupplier condition, String what) {
    if (!condition.getAsBoolean()) {
      writer.refuseToWaitFor(what);
    }
    try {
      waiters.await(condition);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      writer.cancel();
      throw new LorikeetException(Code.CANCELLED, "interrupted while waiting for " + what, e);
    }
  }

  private GenerationResult result(FinishReason reason, Usage usage) {
    StringBuilder text = new StringBuilder();
    List<Integer> ids = new ArrayList<>(tokens.count());
    List<Float> logProbabilities = new ArrayList<>(tokens.count());
    for (TokenBuffer.Cursor cursor = tokens.cursor(); cursor.hasNext(); ) {
      GeneratedToken token = cursor.next();
      text.append(token.text());
      ids.add(token.id());
      logProbabilities.add(token.logProbability());
    }
    return GenerationResult.of(text.toString(), ids, logProbabilities, reason, usage);
  }

  @Override
  public CompletableFuture<GenerationResult> completion() {
    if (completes.compareAndSet(false, true)) {
      // What depends on the future may take its time, which the relay does not have.
      forEnd.add(() -> Thread.ofVirtual().name("lorikeet-completion").start(this::complete));
    }
    if (ended()) {
      complete();
    }
    return completion;
  }

  private void complete() {
    switch (state.get()) {
      case State.Running running -> {}
      case State.Finished(FinishReason reason, Usage usage) -> {
        if (!completion.isDone()) {
          completion.complete(result(reason, usage));
        }
      }
      case State.Failed(LorikeetException failure) -> completion.completeExceptionally(failure);
    }
  }

  @Override
  public Stream<GeneratedToken> stream() {
    TokenBuffer.Cursor cursor = tokens.cursor();
    var source =
        new Spliterators.AbstractSpliterator<GeneratedToken>(
            Long.MAX_VALUE, Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE) {
          @Override
          public boolean tryAdvance(Consumer<? super GeneratedToken> action) {
            await(forTokens, () -> ended() || cursor.hasNext(), "a token");
            if (cursor.hasNext()) {
              action.accept(cursor.next());
              return true;
            }
            if (state.get() instanceof State.Failed(LorikeetException failure)) {
              throw again(failure);
            }
            return false;
          }
        };
    return StreamSupport.stream(source, false).onClose(this::cancel);
  }

  @Override
  public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
    new LogSubscription(this, subscriber).schedule();
  }

  /** Returns a cursor before the first token. */
  TokenBuffer.Cursor cursor() {
    return tokens.cursor();
  }

  /** Calls once when there are more tokens, or the end. */
  void onNews(Runnable wake) {
    forTokens.add(wake);
  }

  /** Returns why the generation failed, if it has ended and that was a failure. */
  Optional<LorikeetException> failure() {
    return state.get() instanceof State.Failed(LorikeetException failure)
        ? Optional.of(failure)
        : Optional.empty();
  }
}
