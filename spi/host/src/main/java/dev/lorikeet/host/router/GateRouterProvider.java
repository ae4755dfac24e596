package dev.lorikeet.host.router;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;

/**
 * The router {@code gate}: a trained gate, decided once per token before the first layer or at
 * every layer. Option: {@code path}, the directory with {@code router.json} and {@code
 * router.safetensors}.
 */
public final class GateRouterProvider implements RouterProvider {
  private static final String PATH = "path";

  /** For {@link java.util.ServiceLoader}. */
  public GateRouterProvider() {}

  @Override
  public String name() {
    return "gate";
  }

  @Override
  public Availability availability() {
    return Availability.available("trained, token or layer scope");
  }

  @Override
  public Router open(RouterConfig config) {
    Path directory = Options.of("router plugin 'gate'", config.options(), PATH).path(PATH);
    Gate gate = GateFile.read(directory);
    ModelShape shape = config.model().shape();
    require(directory, "hidden_size", shape.hidden(), gate.shape.hidden());
    if (gate.shape.layers() == 0) {
      return new GateRouter(gate);
    }
    require(directory, "layers", shape.layers(), gate.shape.layers());
    return new LayerGateRouter(gate);
  }

  private static void require(Path directory, String key, int expected, int found) {
    if (found != expected) {
      throw new LorikeetException(
          Code.ROUTER_FAILED,
          "gate: "
              + directory.resolve("router.json")
              + ": "
              + key
              + ": expected "
              + expected
              + " as the base model has, found "
              + found);
    }
  }
}
