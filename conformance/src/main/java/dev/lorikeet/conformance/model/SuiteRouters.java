package dev.lorikeet.conformance.model;

import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/**
 * Routers whose weights change smoothly with what they see, so that rounding makes no jumps, and
 * the same decisions in double precision.
 */
final class SuiteRouters {
  private static final double DECAY = 0.5;

  private SuiteRouters() {}

  private static double weight(double one, double other) {
    return 1 / (1 + Math.exp(-one - other));
  }

  /** Weighs two experts by the token's embedding and the mean of those before. */
  static final class ByToken implements TokenRouter {
    private final Experts experts;

    ByToken(String... adapters) {
      experts = new Experts(List.of(adapters), adapters.length);
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public RunningContext context() {
      return new RunningContext.MeanEmbedding((float) DECAY);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      Tensor context = in.context().orElseThrow();
      for (int t = 0; t < in.tokens(); t++) {
        double w = weight(ElementCodec.get(in.hidden(), t, 0), ElementCodec.get(context, t, 1));
        out.choose(t, 0, (float) w);
        out.choose(t, 1, (float) (1 - w));
      }
    }
  }

  /** What {@link ByToken} decides. */
  static final class TokenChoice implements Choice {
    private final Share one;
    private final Share other;
    private double[] mean = {};
    private double weight;

    TokenChoice(Share one, Share other) {
      this.one = one;
      this.other = other;
    }

    @Override
    public void embedded(double[] embedding) {
      if (mean.length == 0) {
        mean = embedding.clone();
      } else {
        for (int i = 0; i < mean.length; i++) {
          mean[i] = DECAY * mean[i] + (1 - DECAY) * embedding[i];
        }
      }
      weight = weight(embedding[0], mean[1]);
    }

    @Override
    public List<Share> shares(int layer, double[] layerInput) {
      return List.of(new Share(one.adapter(), weight), new Share(other.adapter(), 1 - weight));
    }
  }

  /** Weighs two experts by the layer's input, and differently in each layer. */
  static final class ByLayer implements LayerRouter {
    private final Experts experts;

    ByLayer(String... adapters) {
      experts = new Experts(List.of(adapters), adapters.length);
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++) {
        double w = weight(ElementCodec.get(in.hidden(), t, 2), in.layer());
        out.choose(t, 1, (float) w);
        out.choose(t, 0, (float) (1 - w));
      }
    }
  }

  /** What {@link ByLayer} decides. */
  record LayerChoice(Share one, Share other) implements Choice {
    @Override
    public List<Share> shares(int layer, double[] layerInput) {
      double w = weight(layerInput[2], layer);
      return List.of(new Share(other.adapter(), w), new Share(one.adapter(), 1 - w));
    }
  }

  /** Gives every request the same mixture. */
  record ByRequest(Mixture mixture) implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      return mixture;
    }
  }
}
