package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Asks a token or layer router for one token at a time. */
final class ReferenceRouting implements Choice {
  private final Router router;
  private final Experts experts;
  private final RoutingOutput out = new RoutingOutput();
  private List<List<Factors>> adapters = List.of();
  private List<Share> decided = List.of();
  private double[] mean = {};
  private float[] sums = {};
  private int decisions;

  ReferenceRouting(Router router, Experts experts) {
    this.router = router;
    this.experts = experts;
  }

  void use(List<List<Factors>> experts) {
    adapters = experts;
  }

  /** Returns the mean over the layers of what was decided for the last token. */
  Mixture mixture() {
    List<Mixture.Share> shares = new ArrayList<>();
    for (int e = 0; e < sums.length; e++) {
      if (sums[e] != 0) {
        shares.add(new Mixture.Share(experts.adapters().get(e), sums[e] / decisions));
      }
    }
    return new Mixture(shares);
  }

  @Override
  public void embedded(double[] embedding) {
    sums = new float[experts.adapters().size()];
    decisions = 0;
    if (router instanceof TokenRouter r) {
      Optional<Tensor> context =
          switch (r.context()) {
            case RunningContext.MeanEmbedding(float decay) -> {
              mean = mean.length == 0 ? embedding.clone() : mean;
              for (int i = 0; i < mean.length; i++) {
                mean[i] = decay * mean[i] + (1 - decay) * embedding[i];
              }
              yield Optional.of(row(mean));
            }
            case RunningContext.LastHidden last -> Optional.of(row(new double[embedding.length]));
            case RunningContext.None none -> Optional.empty();
          };
      decided = ask(RoutingInput.of(1, 0, row(embedding), context));
    }
  }

  @Override
  public List<Share> shares(int layer, double[] layerInput) {
    return router instanceof LayerRouter
        ? ask(RoutingInput.of(1, layer, row(layerInput)))
        : decided;
  }

  private List<Share> ask(RoutingInput in) {
    out.reset(1, experts);
    try {
      switch (router) {
        case TokenRouter r -> r.route(in, out);
        case LayerRouter r -> r.route(in, out);
        case RequestRouter r -> throw new IllegalStateException(r.toString());
      }
    } catch (RuntimeException e) {
      throw new LorikeetException(Code.ROUTER_FAILED, "router: " + e, e);
    }
    List<Share> shares = new ArrayList<>();
    for (int slot = 0; slot < out.count(0); slot++) {
      shares.add(new Share(adapters.get(out.expert(0, slot)), out.weight(0, slot)));
      sums[out.expert(0, slot)] += out.weight(0, slot);
    }
    decisions++;
    return shares;
  }

  private static Tensor row(double[] values) {
    Tensor row =
        Tensor.host(Arena.ofAuto().allocate(4L * values.length), ElementType.F32, 1, values.length);
    for (int i = 0; i < values.length; i++) {
      ElementCodec.set(row, 0, i, (float) values[i]);
    }
    return row;
  }
}
