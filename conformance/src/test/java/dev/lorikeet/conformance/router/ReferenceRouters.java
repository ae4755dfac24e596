package dev.lorikeet.conformance.router;

import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** Routers that keep every rule. */
public final class ReferenceRouters {
  private static final Experts EXPERTS = new Experts(List.of("first", "second", "third"), 2);

  private ReferenceRouters() {}

  /** Scores experts by sums over thirds of the hidden state, and takes the two best. */
  static class OfTokens implements TokenRouter {
    @Override
    public Experts experts() {
      return EXPERTS;
    }

    @Override
    public RunningContext context() {
      return new RunningContext.MeanEmbedding(0.5f);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++) {
        decide(in, t, out);
      }
    }

    void decide(RoutingInput in, int token, RoutingOutput out) {
      twoBest(in.hidden(), token, 0, out);
    }
  }

  /** The same, beginning at another third in each layer. */
  static final class OfLayers implements LayerRouter {
    @Override
    public Experts experts() {
      return EXPERTS;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++) {
        twoBest(in.hidden(), t, in.layer(), out);
      }
    }
  }

  /** Takes all adapters whose names come after the prompt's length. */
  static class OfRequests implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      return context.adapters().isEmpty()
          ? Mixture.none()
          : Mixture.of(context.adapters().get(context.text().length() % context.adapters().size()));
    }
  }

  static void twoBest(Tensor hidden, int token, int shift, RoutingOutput out) {
    double[] scores = new double[3];
    for (int i = 0; i < hidden.columns(); i++) {
      scores[(i + shift) % 3] += ElementCodec.get(hidden, token, i);
    }
    int worst = 0;
    for (int e = 1; e < 3; e++) {
      worst = scores[e] < scores[worst] ? e : worst;
    }
    double total = 0;
    for (int e = 0; e < 3; e++) {
      total += e == worst ? 0 : 1 + Math.abs(scores[e]);
    }
    for (int e = 0; e < 3; e++) {
      if (e != worst) {
        out.choose(token, e, (float) ((1 + Math.abs(scores[e])) / total));
      }
    }
  }

  /** Provides routers without options. */
  public static class Provider implements RouterProvider {
    @Override
    public String name() {
      return "reference";
    }

    @Override
    public Availability availability() {
      return Availability.available("");
    }

    @Override
    public Router open(RouterConfig config) {
      if (!config.options().isEmpty()) {
        throw new IllegalArgumentException("unknown options " + config.options().keySet());
      }
      return new OfTokens();
    }
  }
}
