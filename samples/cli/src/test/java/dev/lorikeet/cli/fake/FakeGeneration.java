package dev.lorikeet.cli.fake;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Usage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.stream.Stream;

/** A generation whose tokens are known from the start; its end may be cancellation alone. */
final class FakeGeneration implements Generation {
  private final List<GeneratedToken> tokens;
  private final CompletableFuture<GenerationResult> completion;

  private FakeGeneration(
      List<GeneratedToken> tokens, CompletableFuture<GenerationResult> completion) {
    this.tokens = tokens;
    this.completion = completion;
  }

  static FakeGeneration of(
      String text, int promptTokens, GenerationRequest request, RequestObserver observer) {
    List<GeneratedToken> tokens = new ArrayList<>();
    StringBuilder generated = new StringBuilder();
    text.codePoints()
        .limit(request.stop().maxTokens())
        .forEach(
            c -> {
              GeneratedToken token =
                  GeneratedToken.of(tokens.size(), c, Character.toString(c), -0.5f);
              tokens.add(token);
              generated.append(token.text());
              observer.onToken().ifPresent(consumer -> consumer.accept(token));
            });
    Duration moment = Duration.ofMillis(1);
    GenerationResult result =
        GenerationResult.of(
            generated.toString(),
            tokens.stream().map(GeneratedToken::id).toList(),
            tokens.stream().map(GeneratedToken::logProbability).toList(),
            FinishReason.LENGTH,
            Usage.builder()
                .promptTokens(promptTokens)
                .generatedTokens(tokens.size())
                .queued(moment)
                .timeToFirstToken(moment)
                .total(moment)
                .build());
    return new FakeGeneration(tokens, CompletableFuture.completedFuture(result));
  }

  static FakeGeneration failed(LorikeetException failure) {
    return new FakeGeneration(List.of(), CompletableFuture.failedFuture(failure));
  }

  static FakeGeneration endless() {
    return new FakeGeneration(
        List.of(GeneratedToken.of(0, 'h', "h", 0f)), new CompletableFuture<>());
  }

  @Override
  public GenerationResult await() {
    try {
      return completion.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LorikeetException(LorikeetException.Code.CANCELLED, "interrupted", e);
    } catch (ExecutionException e) {
      throw (LorikeetException) e.getCause();
    }
  }

  @Override
  public CompletableFuture<GenerationResult> completion() {
    return completion;
  }

  @Override
  public Stream<GeneratedToken> stream() {
    return tokens.stream();
  }

  @Override
  public void cancel() {
    completion.completeExceptionally(
        new LorikeetException(LorikeetException.Code.CANCELLED, "cancelled"));
  }

  @Override
  public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
    subscriber.onSubscribe(
        new Flow.Subscription() {
          @Override
          public void request(long n) {}

          @Override
          public void cancel() {}
        });
    tokens.forEach(subscriber::onNext);
    CompletableFuture<GenerationResult> _ =
        completion.whenComplete(
            (result, failure) -> {
              if (failure == null) {
                subscriber.onComplete();
              } else {
                subscriber.onError(
                    failure instanceof CompletionException wrapped ? wrapped.getCause() : failure);
              }
            });
  }
}
