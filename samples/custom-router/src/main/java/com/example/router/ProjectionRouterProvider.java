package com.example.router;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A token router without training: each expert has a random direction in the space of embeddings,
 * and a token goes to the expert whose direction its embedding is nearest to. Options: {@code
 * adapters} (names, separated by commas) and {@code seed}.
 */
public final class ProjectionRouterProvider implements RouterProvider {
  @Override
  public String name() {
    return "projection";
  }

  @Override
  public Availability availability() {
    return Availability.available("");
  }

  @Override
  public Router open(RouterConfig config) {
    Options options =
        Options.of("router plugin 'projection'", config.options(), "adapters", "seed");
    Experts experts = new Experts(options.names("adapters"), 1);
    Random random = new Random(options.number("seed", 0L, Long.MIN_VALUE, Long.MAX_VALUE));
    List<float[]> directions = new ArrayList<>();
    for (int expert = 0; expert < experts.adapters().size(); expert++) {
      float[] direction = new float[config.model().shape().hidden()];
      for (int i = 0; i < direction.length; i++) {
        direction[i] = (float) random.nextGaussian();
      }
      directions.add(direction);
    }
    return new ProjectionRouter(experts, directions);
  }

  private record ProjectionRouter(Experts experts, List<float[]> directions)
      implements TokenRouter {
    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int token = 0; token < in.tokens(); token++) {
        int best = 0;
        float bestScore = Float.NEGATIVE_INFINITY;
        for (int expert = 0; expert < directions.size(); expert++) {
          float score = score(in, token, directions.get(expert));
          if (score > bestScore) {
            best = expert;
            bestScore = score;
          }
        }
        out.choose(token, best, 1f);
      }
    }

    private static float score(RoutingInput in, int token, float[] direction) {
      long row = token * in.hidden().rowStrideBytes();
      float sum = 0;
      for (int i = 0; i < direction.length; i++) {
        sum += direction[i] * in.hidden().segment().get(JAVA_FLOAT_UNALIGNED, row + 4L * i);
      }
      return sum;
    }
  }
}
