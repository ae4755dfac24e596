package dev.lorikeet.conformance.model;

import static dev.lorikeet.conformance.Mutant.rules;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.MutantSuites;
import dev.lorikeet.conformance.MutantSuites.MakesModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Mixture;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Base models with one fault each. */
public final class ModelMutants {
  private ModelMutants() {}

  private static Mutant model(String fault, Set<String> by, Set<String> also, MakesModel factory) {
    return new Mutant(MutantSuites.Models.class, fault, by, also, factory);
  }

  private static Mutant rewriting(
      String fault, Set<String> by, Set<String> also, UnaryOperator<GenerationRequest> rewrite) {
    return model(
        fault,
        by,
        also,
        config ->
            new ReferenceModel(config) {
              @Override
              public Generation submit(GenerationRequest request, RequestObserver observer) {
                return super.submit(rewrite.apply(request), observer);
              }
            });
  }

  private static Mutant misreporting(String fault, Code hidden, Set<String> by, Set<String> also) {
    return model(
        fault,
        by,
        also,
        config ->
            new ReferenceModel(config) {
              @Override
              public Generation submit(GenerationRequest request, RequestObserver observer) {
                try {
                  return super.submit(request, observer);
                } catch (LorikeetException e) {
                  throw e.code() == hidden
                      ? new LorikeetException(Code.INTERNAL, "something failed", e)
                      : e;
                }
              }
            });
  }

  private static Mutant drawing(String fault, Set<String> by, Set<String> also, Drawing drawing) {
    return model(
        fault,
        by,
        also,
        config ->
            new ReferenceModel(config) {
              @Override
              int draw(double[] logits, Sampling sampling, SplittableRandom random) {
                return drawing.draw(logits, sampling, random);
              }
            });
  }

  @FunctionalInterface
  private interface Drawing {
    int draw(double[] logits, Sampling sampling, SplittableRandom random);
  }

  public static List<Mutant> all() {
    return List.of(
        drawing(
            "the largest id among equal logits", rules("M1"), rules(), ModelMutants::lastOfEquals),
        model("adapters at half their weight", rules("M2"), rules("M4", "M15"), HalfWeight::new),
        model(
            "logits that depend on company", rules("M3"), rules("M5", "M10", "M19"), Company::new),
        model(
            "a KV page reused while its sequence still reads it",
            rules("M3"),
            rules("M10"),
            ModelPageMutants.ReusesEarly::new),
        rewriting(
            "mixtures normalized to one", rules("M4"), rules("M23"), ModelMutants::normalized),
        drawing("one random sequence for all requests", rules("M5"), rules(), new Shared()),
        drawing(
            "top-p left out",
            rules("M6"),
            rules(),
            (l, s, r) ->
                ReferenceSampler.draw(l, Sampling.of(s.temperature(), 0).withTopK(s.topK()), r)),
        drawing(
            "temperature left out",
            rules("M6"),
            rules(),
            (l, s, r) ->
                ReferenceSampler.draw(
                    l,
                    s.isGreedy() ? s : Sampling.of(1f, 0).withTopK(s.topK()).withTopP(s.topP()),
                    r)),
        rewriting(
            "stop strings left out",
            rules("M7"),
            rules(),
            r -> r.toBuilder().stop(r.stop().withStrings(List.of())).build()),
        rewriting(
            "stop tokens left out",
            rules("M7"),
            rules(),
            r -> r.toBuilder().stop(r.stop().withTokens(Set.of())).build()),
        model("texts streamed twice", rules("M8"), rules("M7", "M18"), StreamsTwice::new),
        model("cancelling ignored", rules("M9"), rules("M10"), IgnoresCancel::new),
        model(
            "a page kept after each request",
            rules("M11"),
            rules("M6", "M14", "M20"),
            ModelPageMutants.LeaksPages::new),
        misreporting(
            "unknown adapters said to be a defect", Code.ADAPTER_NOT_FOUND, rules("M12"), rules()),
        misreporting(
            "bad prompts said to be a defect", Code.INVALID_REQUEST, rules("M13"), rules("M12")),
        misreporting("large requests said to be a defect", Code.TOO_LARGE, rules("M14"), rules()),
        model("scores shifted by one", rules("M15"), rules(), ShiftsScores::new),
        rewriting(
            "timeouts left out",
            rules("M16"),
            rules("M11"),
            r -> r.toBuilder().timeout(Duration.ofDays(36_500)).build()),
        misreporting(
            "faulty routers said to be a defect", Code.ROUTER_FAILED, rules("M17"), rules()),
        model("one subscriber and no more", rules("M18"), rules(), OneSubscriber::new),
        misreporting(
            "requests after close said to be a defect", Code.CLOSED, rules("M20"), rules()),
        model("a token put before every text", rules("M21"), rules("M13"), AddsBos::new),
        model(
            "damaged directories answered by another exception",
            rules("M22"),
            rules(),
            ModelMutants::wrongType),
        rewriting(
            "mixtures left out of tokens",
            rules("M23"),
            rules(),
            r -> r.toBuilder().reportMixture(false).build()),
        model("a closed model that calls itself healthy", rules("M24"), rules(), Cheerful::new),
        model("closing in a callback said to be a defect", rules("M25"), rules(), Mumbling::new),
        model("tokens drawn from NaN", rules("M26"), rules(), Indifferent::new));
  }

  private static int lastOfEquals(double[] logits, Sampling sampling, SplittableRandom random) {
    if (!sampling.isGreedy()) {
      return ReferenceSampler.draw(logits, sampling, random);
    }
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] >= logits[best] ? i : best;
    }
    return best;
  }

  private static final class Cheerful extends ReferenceModel {
    Cheerful(ModelConfig config) {
      super(config);
    }

    @Override
    public Health health() {
      return Health.healthy();
    }
  }

  private static final class Mumbling extends ReferenceModel {
    Mumbling(ModelConfig config) {
      super(config);
    }

    @Override
    public void close() {
      try {
        super.close();
      } catch (LorikeetException e) {
        throw new LorikeetException(Code.INTERNAL, "something failed", e);
      }
    }
  }

  private static final class Indifferent extends ReferenceModel {
    Indifferent(ModelConfig config) {
      super(config);
    }

    @Override
    boolean sound(double[] logits) {
      return true;
    }
  }

  private static final class HalfWeight extends ReferenceModel {
    HalfWeight(ModelConfig config) {
      super(config);
    }

    @Override
    double weight(double weight) {
      return weight / 2;
    }
  }

  private static final class Company extends ReferenceModel {
    Company(ModelConfig config) {
      super(config);
    }

    @Override
    double[] bent(double[] logits) {
      if (stats().running() < 3) {
        return logits;
      }
      double[] bent = logits.clone();
      for (int i = 0; i < bent.length; i++) {
        bent[i] *= 1.001;
      }
      return bent;
    }
  }

  private static GenerationRequest normalized(GenerationRequest r) {
    if (!(r.adapter() instanceof AdapterChoice.Mixed mixed)) {
      return r;
    }
    float sum = 0;
    for (Mixture.Share share : mixed.mixture().shares()) {
      sum += share.weight();
    }
    List<Mixture.Share> shares = new ArrayList<>();
    for (Mixture.Share share : mixed.mixture().shares()) {
      shares.add(new Mixture.Share(share.adapter(), share.weight() / sum));
    }
    AdapterChoice adapter = new AdapterChoice.Mixed(new Mixture(shares));
    return r.toBuilder().adapter(adapter).build();
  }

  private static final class Shared implements Drawing {
    private final SplittableRandom shared = new SplittableRandom(7);

    @Override
    public int draw(double[] logits, Sampling sampling, SplittableRandom random) {
      return ReferenceSampler.draw(logits, sampling, shared);
    }
  }

  /** Hands out generations that behave otherwise. */
  private abstract static class Wraps extends ReferenceModel {
    Wraps(ModelConfig config) {
      super(config);
    }

    abstract Generation wrapped(Generation generation);

    @Override
    public Generation submit(GenerationRequest request, RequestObserver observer) {
      return wrapped(super.submit(request, observer));
    }
  }

  private static class Delegates implements Generation {
    final Generation generation;

    Delegates(Generation generation) {
      this.generation = generation;
    }

    @Override
    public GenerationResult await() {
      return generation.await();
    }

    @Override
    public CompletableFuture<GenerationResult> completion() {
      return generation.completion();
    }

    @Override
    public Stream<GeneratedToken> stream() {
      return generation.stream();
    }

    @Override
    public void cancel() {
      generation.cancel();
    }

    @Override
    public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
      generation.subscribe(subscriber);
    }
  }

  private static final class StreamsTwice extends Wraps {
    StreamsTwice(ModelConfig config) {
      super(config);
    }

    @Override
    Generation wrapped(Generation generation) {
      return new Delegates(generation) {
        @Override
        public Stream<GeneratedToken> stream() {
          return generation.stream()
              .map(
                  t ->
                      GeneratedToken.of(
                          t.index(), t.id(), t.text() + t.text(), t.logProbability(), t.mixture()));
        }
      };
    }
  }

  private static final class IgnoresCancel extends Wraps {
    IgnoresCancel(ModelConfig config) {
      super(config);
    }

    @Override
    Generation wrapped(Generation generation) {
      return new Delegates(generation) {
        @Override
        public void cancel() {}
      };
    }
  }

  private static final class OneSubscriber extends Wraps {
    OneSubscriber(ModelConfig config) {
      super(config);
    }

    @Override
    Generation wrapped(Generation generation) {
      return new Delegates(generation) {
        private boolean taken;

        @Override
        public void subscribe(Flow.Subscriber<? super GeneratedToken> subscriber) {
          if (!taken) {
            taken = true;
            super.subscribe(subscriber);
            return;
          }
          subscriber.onSubscribe(
              new Flow.Subscription() {
                @Override
                public void request(long count) {}

                @Override
                public void cancel() {}
              });
          subscriber.onError(new IllegalStateException("one subscriber and no more"));
        }
      };
    }
  }

  private static final class ShiftsScores extends ReferenceModel {
    ShiftsScores(ModelConfig config) {
      super(config);
    }

    @Override
    public CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer) {
      return super.score(request, observer)
          .thenApply(
              score -> {
                List<Double> shifted = new ArrayList<>(score.logProbabilities());
                Collections.rotate(shifted, 1);
                return new Score(score.tokens(), shifted);
              });
    }
  }

  private static final class AddsBos extends ReferenceModel {
    AddsBos(ModelConfig config) {
      super(config);
    }

    @Override
    public List<Integer> encode(String text) {
      List<Integer> tokens = new ArrayList<>(super.encode(text));
      tokens.addFirst(ByteLevelTokenizer.BOS);
      return tokens;
    }
  }

  private static ReferenceModel wrongType(ModelConfig config) {
    try {
      return new ReferenceModel(config);
    } catch (LorikeetException e) {
      throw new IllegalArgumentException("cannot be read", e);
    }
  }
}
