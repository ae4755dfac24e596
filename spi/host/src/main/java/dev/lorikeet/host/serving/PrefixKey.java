package dev.lorikeet.host.serving;

import dev.lorikeet.routing.Mixture;
import java.util.List;
import java.util.Optional;

/**
 * What a sequence's keys and values depend on besides its tokens. Sequences with equal keys may
 * share them; those of different tenants never do, so that nobody learns from a fast answer what
 * others asked.
 *
 * @param tenant the tenant
 * @param generations the generations of the adapters in the order of the mixture
 * @param weights their weights
 */
record PrefixKey(String tenant, List<Long> generations, List<Float> weights) {

  /**
   * Returns the key of a sequence with these generations of adapters. It is empty where a router
   * decides for each token or layer: keys and values then depend on foreign code, which may be at
   * fault for one sequence and not for the next. It is empty, too, where a request states a mixture
   * for each token, which hardly two requests have in common.
   */
  static Optional<PrefixKey> of(String tenant, Selection selection, List<Long> generations) {
    return switch (selection) {
      case Selection.Fixed(Mixture mixture) ->
          Optional.of(
              new PrefixKey(
                  tenant,
                  generations,
                  mixture.shares().stream().map(Mixture.Share::weight).toList()));
      case Selection.PerToken perToken -> Optional.empty();
      case Selection.ByToken byToken -> Optional.empty();
      case Selection.ByLayer byLayer -> Optional.empty();
    };
  }
}
