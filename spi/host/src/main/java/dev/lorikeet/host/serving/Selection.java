package dev.lorikeet.host.serving;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;

/** Which adapters a sequence uses, once its request has been resolved. */
sealed interface Selection {
  /** Returns the adapters to lease, in the order in which the selection counts them. */
  List<String> adapters();

  /** One mixture for all tokens; empty for the base model alone. */
  record Fixed(Mixture mixture) implements Selection {
    @Override
    public List<String> adapters() {
      return mixture.shares().stream().map(Mixture.Share::adapter).toList();
    }
  }

  /** A mixture for each position of the prompt; the last one goes on. */
  record PerToken(List<Mixture> mixtures, List<String> adapters) implements Selection {
    /** Creates a selection whose adapters are all those of the mixtures. */
    PerToken(List<Mixture> mixtures) {
      this(
          mixtures,
          mixtures.stream()
              .flatMap(mixture -> mixture.shares().stream())
              .map(Mixture.Share::adapter)
              .distinct()
              .toList());
    }

    Mixture at(int position) {
      return mixtures.get(Math.min(position, mixtures.size() - 1));
    }
  }

  /** What a router decides for each token. */
  record ByToken(String name, TokenRouter router, Experts experts, RunningContext context)
      implements Selection {
    @Override
    public List<String> adapters() {
      return experts.adapters();
    }
  }

  /** What a router decides for each token at each layer. */
  record ByLayer(String name, LayerRouter router, Experts experts) implements Selection {
    @Override
    public List<String> adapters() {
      return experts.adapters();
    }
  }
}
