package dev.lorikeet.host.router;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;

/** One gate before the first layer, as in LoRA-Switch (arXiv 2405.17741). */
final class GateRouter implements TokenRouter {
  private final Gate gate;
  private final GateKernel kernel;

  /** Creates a router. */
  GateRouter(Gate gate) {
    this.gate = gate;
    this.kernel = new GateKernel(gate);
  }

  @Override
  public Experts experts() {
    return gate.shape.experts();
  }

  @Override
  public RunningContext context() {
    return gate.shape.context();
  }

  @Override
  public void route(RoutingInput in, RoutingOutput out) {
    kernel.route(in, 0, out);
  }
}
