package dev.lorikeet.routing;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.List;

/**
 * Adapters and the weights of their deltas. The weights need not sum to one.
 *
 * @param shares the adapters, each once, none for the base model alone
 */
public record Mixture(List<Share> shares) {
  private static final Mixture NONE = new Mixture(List.of());

  public Mixture {
    shares = List.copyOf(shares);
    if (shares.stream().map(Share::adapter).distinct().count() != shares.size()) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "mixture: expected each adapter once, found " + shares);
    }
  }

  /** Returns the mixture without adapters. */
  public static Mixture none() {
    return NONE;
  }

  /** Returns one adapter with weight 1. */
  public static Mixture of(String adapter) {
    return new Mixture(List.of(new Share(adapter, 1f)));
  }

  /** Returns a mixture of these shares. */
  public static Mixture of(Share... shares) {
    return new Mixture(List.of(shares));
  }

  /**
   * One adapter's part.
   *
   * @param adapter the adapter's name
   * @param weight the factor of its delta; finite
   */
  public record Share(String adapter, float weight) {
    public Share {
      if (!Float.isFinite(weight)) {
        throw new LorikeetException(
            Code.INVALID_REQUEST,
            "weight of '" + adapter + "': expected a finite number, found " + weight);
      }
    }

    @Override
    public String toString() {
      return adapter + "*" + weight;
    }
  }
}
