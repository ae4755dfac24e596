package dev.lorikeet.host.router;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;

/** A gate for every layer, as in MixLoRA (arXiv 2404.15159). */
final class LayerGateRouter implements LayerRouter {
  private final Gate gate;
  private final GateKernel kernel;

  /** Creates a router. */
  LayerGateRouter(Gate gate) {
    this.gate = gate;
    this.kernel = new GateKernel(gate);
  }

  @Override
  public Experts experts() {
    return gate.shape.experts();
  }

  @Override
  public void route(RoutingInput in, RoutingOutput out) {
    kernel.route(in, in.layer(), out);
  }
}
