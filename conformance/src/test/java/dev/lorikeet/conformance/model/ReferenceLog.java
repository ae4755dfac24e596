package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Usage;
import dev.lorikeet.routing.Mixture;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Flow;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** The tokens of one generation, kept for whoever wants to see them. */
final class ReferenceLog implements Generation {
  private final GenerationRequest request;
  private final RequestObserver observer;
  private final int promptTokens;
  private final ByteLevelTokenizer tokenizer;
  private final List<GeneratedToken> tokens = new ArrayList<>();
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final StringBuilder text = new StringBuilder();
  private final CompletableFuture<GenerationResult> completion = new CompletableFuture<>();
  private boolean cancelled;

  ReferenceLog(
      GenerationRequest request,
      RequestObserver observer,
      int promptTokens,
      ByteLevelTokenizer tokenizer) {
    this.request = request;
    this.observer = observer;
    this.promptTokens = promptTokens;
    this.tokenizer = tokenizer;
  }

  synchronized int count() {
    return tokens.size();
  }

  synchronized boolean isCancelled() {
    return cancelled || completion.isCancelled();
  }

  /** Adds a token; returns why the generation ends with it, if it does. */
  Optional<FinishReason> append(
      int id, boolean eos, boolean last, float logProbability, Mixture mixture) {
    GeneratedToken token;
    Optional<FinishReason> reason = Optional.empty();
    synchronized (this) {
      if (!eos) {
        bytes.writeBytes(tokenizer.bytes(id));
      }
      byte[] all = bytes.toByteArray();
      String whole = ByteLevelTokenizer.utf8(all);
      int stop =
          request.stop().strings().stream()
              .mapToInt(whole::indexOf)
              .filter(i -> i >= 0)
              .min()
              .orElse(-1);
      int certain;
      if (stop >= 0) {
        reason = Optional.of(FinishReason.STOP_STRING);
        certain = stop;
      } else if (eos || last) {
        reason = Optional.of(eos ? FinishReason.STOP_TOKEN : FinishReason.LENGTH);
        certain = whole.length();
      } else {
        certain = certain(all, whole);
      }
      String news = whole.substring(Math.min(text.length(), certain), certain);
      text.append(news);
      token =
          GeneratedToken.of(
              tokens.size(),
              id,
              news,
              logProbability,
              request.reportMixture() ? Optional.of(mixture) : Optional.empty());
      tokens.add(token);
      notifyAll();
    }
    observer.onToken().ifPresent(consumer -> consumer.accept(token));
    return reason;
  }

  /** Returns how much of a text cannot change any more. */
  private int certain(byte[] all, String whole) {
    int tail = 0;
    for (int back = 1; back <= 3 && back <= all.length; back++) {
      int b = all[all.length - back] & 0xFF;
      if (b >= 0xC2) {
        int needed = b >= 0xF0 ? 4 : b >= 0xE0 ? 3 : 2;
        tail = needed > back ? 1 : 0;
        break;
      }
      if (b < 0x80) {
        break;
      }
    }
    int certain = whole.length() - (tail == 1 && whole.endsWith("\uFFFD") ? 1 : 0);
    for (String stop : request.stop().strings()) {
      for (int length = Math.min(stop.length() - 1, certain); length > 0; length--) {
        if (whole.substring(0, certain).endsWith(stop.substring(0, length))) {
          certain -= length;
          break;
        }
      }
    }
    return Math.max(certain, text.length());
  }

  void complete(FinishReason reason) {
    GenerationResult result;
    synchronized (this) {
      Usage usage =
          Usage.builder().promptTokens(promptTokens).generatedTokens(tokens.size()).build();
      result =
          GenerationResult.of(
              text.toString(),
              tokens.stream().map(GeneratedToken::id).toList(),
              tokens.stream().map(GeneratedToken::logProbability).toList(),
              reason,
              usage);
      completion.complete(result);
      notifyAll();
    }
  }

  void fail(LorikeetException failure) {
    synchronized (this) {
      completion.completeExceptionally(failure);
      notifyAll();
    }
  }

  @Override
  public GenerationResult await() {
    try {
      return completion.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof LorikeetException failure
          ? failure
          : new LorikeetException(Code.INTERNAL, "failed", e);
    } catch (java.util.concurrent.CancellationException e) {
      throw new LorikeetException(Code.CANCELLED, "cancelled", e);
    }
  }

  @Override
  public CompletableFuture<GenerationResult> completion() {
    return completion;
  }

  @Override
  public synchronized void cancel() {
    cancelled = true;
  }

  /** Waits for a token; empty at the end. */
  synchronized Optional<GeneratedToken> next(int index) {
    while (index >= tokens.size() && !completion.isDone()) {
      try {
        wait(5);
      } catch (InterruptedException e) {
        cancelled = true;
        throw new LorikeetException(Code.CANCELLED, "interrupted", e);
      }
    }
    return index < tokens.size() ? Optional.of(tokens.get(index)) : Optional.empty();
  }

  @Override
  public Stream<GeneratedToken> stream() {
    Iterator<GeneratedToken> iterator =
        new Iterator<>() {
          private int index;

          @Override
          public boolean hasNext() {
            if (ReferenceLog.this.next(index).isPresent()) {
              return true;
            }
            await();
            return false;
          }

          @Override
          public GeneratedToken next() {
            return ReferenceLog.this
                .next(index++)
                .orElseThrow(() -> new NoSuchElementException("no more tokens"));
          }
        };
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator, 0), false)
        .onClose(
            () -> {
              if (!completion.isDone()) {
                cancel();
              }
            });
  }

  @Override
  public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
    ReferenceSubscription subscription = new ReferenceSubscription(this, subscriber);
    Thread.ofVirtual().start(subscription);
  }
}
