package dev.lorikeet.conformance.model;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/** Takes its time, so that a request with a short deadline cannot end before it. */
final class SlowRouter implements TokenRouter {
  private final Experts experts;

  SlowRouter(String adapter) {
    experts = new Experts(List.of(adapter), 1);
  }

  @Override
  public Experts experts() {
    return experts;
  }

  @Override
  public void route(RoutingInput in, RoutingOutput out) {
    LockSupport.parkNanos(5_000_000);
  }
}
