package dev.lorikeet.host.serving;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RoutingOutput;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Which adapters computed the logits of a sequence's last token, for a request that asked to be
 * told. Used by the decoding thread alone.
 */
final class MixtureReport {
  private final Selection selection;
  private final float[] sums;
  private int decisions;
  private Mixture stated;

  MixtureReport(Selection selection) {
    this.selection = selection;
    this.sums = new float[selection.adapters().size()];
    this.stated = selection instanceof Selection.Fixed fixed ? fixed.mixture() : Mixture.none();
  }

  /** Forgets the decisions on the token before. */
  void begin() {
    Arrays.fill(sums, 0f);
    decisions = 0;
  }

  /** Notes a decision on the last token; of a layer router there is one for each layer. */
  void note(RoutingOutput out, int token) {
    for (int k = 0; k < out.count(token); k++) {
      sums[out.expert(token, k)] += out.weight(token, k);
    }
    decisions++;
  }

  /** Notes the mixture that the request states for the last token. */
  void note(Mixture mixture) {
    stated = mixture;
  }

  /** Returns the mixture: for decisions of layers their mean. */
  Mixture mixture() {
    return switch (selection) {
      case Selection.Fixed fixed -> stated;
      case Selection.PerToken perToken -> stated;
      case Selection.ByToken byToken -> decided(byToken.experts());
      case Selection.ByLayer byLayer -> decided(byLayer.experts());
    };
  }

  private Mixture decided(Experts experts) {
    List<Mixture.Share> shares = new ArrayList<>();
    for (int e = 0; e < sums.length; e++) {
      if (sums[e] != 0) {
        shares.add(new Mixture.Share(experts.adapters().get(e), sums[e] / decisions));
      }
    }
    return new Mixture(shares);
  }
}
