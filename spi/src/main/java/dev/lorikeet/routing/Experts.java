package dev.lorikeet.routing;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.List;

/**
 * The adapters that a token or layer router chooses among, and how many it may choose at once.
 *
 * @param adapters the adapters' names; a decision gives an index into this list; distinct, at least
 *     one. Every request that uses the router holds leases on all of them
 * @param topK how many adapters one token may use at most, from 1 to the number of adapters
 */
public record Experts(List<String> adapters, int topK) {
  public Experts {
    adapters = List.copyOf(adapters);
    if (adapters.isEmpty() || adapters.stream().distinct().count() != adapters.size()) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "adapters: expected at least one, all distinct, found " + adapters);
    }
    if (topK < 1 || topK > adapters.size()) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "topK: expected 1 to " + adapters.size() + ", found " + topK);
    }
  }
}
