package dev.lorikeet.gates;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** Scores of documents. */
final class Scores {
  private static final int AT_ONCE = 16;

  private Scores() {}

  /** Scores documents under one choice of adapters; calls {@code done} after each. */
  static List<Score> of(
      BaseModel model, List<MixedDocument> documents, AdapterChoice choice, Runnable done) {
    List<Score> scores = new ArrayList<>();
    for (int from = 0; from < documents.size(); from += AT_ONCE) {
      List<CompletableFuture<Score>> futures =
          documents.subList(from, Math.min(documents.size(), from + AT_ONCE)).stream()
              .map(d -> model.score(ScoreRequest.of(new Prompt.Tokens(d.tokens()), choice)))
              .toList();
      try {
        for (CompletableFuture<Score> future : futures) {
          scores.add(await(future));
          done.run();
        }
      } finally {
        futures.forEach(future -> future.cancel(true));
      }
    }
    return scores;
  }

  /** Waits for a score; an interrupt cancels it. */
  static Score await(CompletableFuture<Score> future) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      future.cancel(true);
      Thread.currentThread().interrupt();
      throw new LorikeetException(Code.CANCELLED, "interrupted", e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof LorikeetException known
          ? known
          : new LorikeetException(Code.INTERNAL, String.valueOf(e.getCause()), e);
    }
  }
}
