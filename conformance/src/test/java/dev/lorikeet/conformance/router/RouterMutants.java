package dev.lorikeet.conformance.router;

import static dev.lorikeet.conformance.Mutant.rules;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.MutantSuites;
import dev.lorikeet.conformance.MutantSuites.MakesRouter;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Supplier;

/** Routers with one fault each. */
public final class RouterMutants {
  private RouterMutants() {}

  private static Mutant router(
      String fault, Set<String> by, Set<String> also, Supplier<Router> make) {
    MakesRouter factory =
        config -> {
          refuseOptions(config);
          return make.get();
        };
    return new Mutant(MutantSuites.Routers.class, fault, by, also, factory);
  }

  private static void refuseOptions(RouterConfig config) {
    if (!config.options().isEmpty()) {
      throw new IllegalArgumentException("unknown options " + config.options().keySet());
    }
  }

  public static List<Mutant> all() {
    MakesRouter ignoresOptions = config -> new ReferenceRouters.OfTokens();
    return List.of(
        router("experts that change", rules("R1"), rules(), ChangingExperts::new),
        router("an index out of range", rules("R2"), rules("R5", "R9"), OutOfRange::new),
        router("the same expert twice", rules("R2"), rules("R5", "R9"), Twice::new),
        router("decisions by chance", rules("R3"), rules("R4", "R5"), Chance::new),
        router("decisions by place in the batch", rules("R4"), rules(), ByPlace::new),
        router("room for 512 tokens", rules("R5"), rules(), Few::new),
        router("rows taken for dense ones", rules("R5"), rules("R9"), Dense::new),
        router(
            "inputs normalized in place", rules("R6"), rules("R3", "R4", "R5"), WritesInput::new),
        router("an adapter that is not registered", rules("R7"), rules(), Unregistered::new),
        router("scores that overflow", rules("R9"), rules(), Overflows::new),
        router("a second close that throws", rules("R10"), rules(), SecondCloseThrows::new),
        new Mutant(
            MutantSuites.Routers.class,
            "options ignored",
            rules("R11", "V3"),
            rules(),
            ignoresOptions));
  }

  private static final class ChangingExperts extends ReferenceRouters.OfTokens {
    private int calls;

    @Override
    public Experts experts() {
      return calls++ == 0
          ? super.experts()
          : new Experts(super.experts().adapters().reversed(), super.experts().topK());
    }
  }

  private static final class OutOfRange extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      out.choose(token, 3, 1f);
    }
  }

  private static final class Twice extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      out.choose(token, 1, 1f);
      out.choose(token, 1, 1f);
    }
  }

  private static final class Chance extends ReferenceRouters.OfTokens {
    private final Random random = new Random();

    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      out.choose(token, random.nextInt(3), 1f);
    }
  }

  private static final class ByPlace extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      if (token == 0) {
        out.choose(token, 2, 0.5f);
      } else {
        super.decide(in, token, out);
      }
    }
  }

  private static final class Few extends ReferenceRouters.OfTokens {
    private final float[] room = new float[512];

    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      room[token] = 1;
      super.decide(in, token, out);
    }
  }

  private static final class Dense extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      long at = token * in.hidden().columns();
      float value = ElementCodec.get(in.hidden().segment(), in.hidden().type(), at);
      out.choose(token, value > 0 ? 0 : 1, 1f);
    }
  }

  private static final class WritesInput extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      super.decide(in, token, out);
      ElementCodec.set(in.hidden(), token, 0, 0f);
    }
  }

  private static final class Unregistered extends ReferenceRouters.OfRequests {
    @Override
    public Mixture route(RequestContext context) {
      return Mixture.of("code");
    }
  }

  private static final class Overflows extends ReferenceRouters.OfTokens {
    @Override
    void decide(RoutingInput in, int token, RoutingOutput out) {
      float sum = 0;
      for (int i = 0; i < in.hidden().columns(); i++) {
        float value = ElementCodec.get(in.hidden(), token, i);
        sum += value * value;
      }
      out.choose(token, 0, 1 + sum);
    }
  }

  private static final class SecondCloseThrows extends ReferenceRouters.OfTokens {
    private boolean closed;

    @Override
    public void close() {
      if (closed) {
        throw new IllegalStateException("closed before");
      }
      closed = true;
    }
  }
}
