package dev.lorikeet.conformance.model;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;

/** Routers that a model must survive. */
final class FaultyRouters {
  private FaultyRouters() {}

  /** Throws whatever it is asked. */
  static final class Throwing implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      throw new IllegalStateException("this router always throws");
    }
  }

  /** Names an adapter that nobody registered. */
  static final class Stranger implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      return Mixture.of("an adapter that nobody registered");
    }
  }

  /** Throws after some calls. */
  static final class ThrowingOnTokens implements TokenRouter {
    private final Experts experts;
    private int callsLeft;

    ThrowingOnTokens(String adapter, int callsLeft) {
      this.experts = new Experts(List.of(adapter), 1);
      this.callsLeft = callsLeft;
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      if (callsLeft-- <= 0) {
        throw new IllegalStateException("this router throws after some calls");
      }
    }
  }

  /** Chooses an expert that does not exist. */
  static final class OutOfRange implements TokenRouter {
    private final Experts experts;

    OutOfRange(String adapter) {
      this.experts = new Experts(List.of(adapter), 1);
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      out.choose(0, 1, 1f);
    }
  }

  /** Chooses weights that are no numbers, in the last layer. */
  static final class NotANumber implements LayerRouter {
    private final Experts experts;

    NotANumber(String adapter) {
      this.experts = new Experts(List.of(adapter), 1);
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      out.choose(in.tokens() - 1, 0, in.layer() == 0 ? 1f : Float.NaN);
    }
  }
}
