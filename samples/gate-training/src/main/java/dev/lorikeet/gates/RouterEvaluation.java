package dev.lorikeet.gates;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Score;
import dev.lorikeet.routing.Mixture;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Perplexity of documents that mix kinds of text, under routers and under what they are compared
 * with.
 *
 * @param documents how many documents were scored
 * @param tokens how many of their tokens have a probability
 * @param rows one for each way to use the adapters
 */
public record RouterEvaluation(int documents, int tokens, List<Row> rows) {

  public RouterEvaluation {
    rows = List.copyOf(rows);
  }

  /** What a row is for. */
  public enum Role {
    /** The base, one adapter, or the uniform mixture: what needs no router. */
    FIXED,
    /** A router. */
    ROUTER,
    /** Knows which kind each passage is: what perfect routing to one adapter reaches. */
    ORACLE
  }

  /**
   * One way to use the adapters.
   *
   * @param name what to call it
   * @param role what it is for
   * @param lossPerToken mean negative log-probability, in nats
   * @param perplexity its exponential
   */
  public record Row(String name, Role role, double lossPerToken, double perplexity) {}

  /** Returns the best row that needs no router. */
  public Row bestFixed() {
    return rows.stream()
        .filter(row -> row.role() == Role.FIXED)
        .min(Comparator.comparingDouble(Row::perplexity))
        .orElseThrow();
  }

  /**
   * Returns by which share the best router's perplexity is lower than that of the best fixed row.
   */
  public double gain() {
    double best =
        rows.stream()
            .filter(row -> row.role() == Role.ROUTER)
            .mapToDouble(Row::perplexity)
            .min()
            .orElseThrow();
    return 1 - best / bestFixed().perplexity();
  }

  /**
   * Scores documents.
   *
   * @param routers routers that were added to the model, at least one; a row is called as they are
   * @param adapters the adapters of the documents' labels, registered
   * @param done called after each score; there are {@link #scores} of them
   */
  public static RouterEvaluation of(
      Lorikeet lorikeet,
      List<String> routers,
      List<String> adapters,
      List<MixedDocument> documents,
      Runnable done) {
    List<Row> rows = new ArrayList<>();
    rows.add(row(lorikeet, "base", Role.FIXED, AdapterChoice.none(), documents, done));
    for (String adapter : adapters) {
      rows.add(row(lorikeet, adapter, Role.FIXED, AdapterChoice.named(adapter), documents, done));
    }
    float share = 1f / adapters.size();
    Mixture uniform =
        new Mixture(adapters.stream().map(name -> new Mixture.Share(name, share)).toList());
    rows.add(
        row(
            lorikeet,
            "uniform mixture",
            Role.FIXED,
            AdapterChoice.mixed(uniform),
            documents,
            done));
    for (String router : routers) {
      AdapterChoice routed = AdapterChoice.routed(router);
      rows.add(row(lorikeet, router, Role.ROUTER, routed, documents, done));
    }
    rows.add(oracle(lorikeet, adapters, documents, done));
    int tokens = documents.stream().mapToInt(d -> d.tokens().size() - 1).sum();
    return new RouterEvaluation(documents.size(), tokens, rows);
  }

  /** Returns how many scores {@link #of} takes. */
  public static int scores(int routers, int adapters, int documents) {
    return (routers + adapters + 3) * documents;
  }

  private static Row row(
      Lorikeet lorikeet,
      String name,
      Role role,
      AdapterChoice choice,
      List<MixedDocument> documents,
      Runnable done) {
    return row(name, role, Scores.of(lorikeet.model(), documents, choice, done));
  }

  private static Row row(String name, Role role, List<Score> scores) {
    double total = scores.stream().mapToDouble(Score::total).sum();
    long tokens = scores.stream().mapToLong(s -> s.logProbabilities().size()).sum();
    double loss = -total / tokens;
    return new Row(name, role, loss, Math.exp(loss));
  }

  private static Row oracle(
      Lorikeet lorikeet, List<String> adapters, List<MixedDocument> documents, Runnable done) {
    List<Score> scores = new ArrayList<>();
    List<Mixture> mixtures = adapters.stream().map(Mixture::of).toList();
    for (MixedDocument document : documents) {
      AdapterChoice ofLabels =
          AdapterChoice.perToken(document.labels().stream().map(mixtures::get).toList());
      scores.addAll(Scores.of(lorikeet.model(), List.of(document), ofLabels, done));
    }
    return row("oracle", Role.ORACLE, scores);
  }
}
