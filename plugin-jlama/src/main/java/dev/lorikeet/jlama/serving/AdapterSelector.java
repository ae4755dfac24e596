package dev.lorikeet.jlama.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.TokenRouter;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

/** Resolves what a request says of adapters: names, mixtures and routers. Thread-safe. */
final class AdapterSelector {
  private static final int MAX_MIXTURE = 16;

  private final AdapterStore adapters;
  private final Map<String, Router> routers = new ConcurrentHashMap<>();

  AdapterSelector(AdapterStore adapters) {
    this.adapters = adapters;
  }

  void addRouter(String name, Router router) {
    routers.put(name, router);
  }

  /** Resolves a choice; asks request routers, and checks that all adapters are registered. */
  Selection select(
      AdapterChoice choice,
      String text,
      List<Integer> tokens,
      String tenant,
      Map<String, String> attributes) {
    return switch (choice) {
      case AdapterChoice.None none -> new Selection.Fixed(Mixture.none());
      case AdapterChoice.Named(String adapter) -> fixed(Mixture.of(adapter));
      case AdapterChoice.Mixed(Mixture mixture) -> fixed(mixture);
      case AdapterChoice.Routed(String name) ->
          switch (router(name)) {
            case RequestRouter router ->
                new Selection.Fixed(ask(name, router, text, tokens, tenant, attributes));
            case TokenRouter router ->
                new Selection.ByToken(name, router, experts(name, router::experts));
            case LayerRouter router ->
                new Selection.ByLayer(name, router, experts(name, router::experts));
          };
    };
  }

  private Selection fixed(Mixture mixture) {
    if (mixture.shares().size() > MAX_MIXTURE) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "mixture: expected at most "
              + MAX_MIXTURE
              + " adapters, found "
              + mixture.shares().size());
    }
    for (Mixture.Share share : mixture.shares()) {
      if (adapters.find(share.adapter()).isEmpty()) {
        throw new LorikeetException(
            Code.ADAPTER_NOT_FOUND, "adapter '" + share.adapter() + "' is not registered");
      }
    }
    return new Selection.Fixed(mixture);
  }

  private Router router(String name) {
    Router router = routers.get(name);
    if (router == null) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "router '"
              + name
              + "' is unknown, expected one of "
              + routers.keySet().stream().sorted().toList());
    }
    return router;
  }

  private Mixture ask(
      String name,
      RequestRouter router,
      String text,
      List<Integer> tokens,
      String tenant,
      Map<String, String> attributes) {
    RequestContext context =
        new RequestContext(
            text,
            tokens,
            tenant,
            attributes,
            adapters.list().stream().map(AdapterSpec::id).toList());
    Mixture mixture;
    try {
      mixture = router.route(context);
    } catch (RuntimeException | Error e) {
      throw failed(name, "failed: " + e, e);
    }
    if (mixture == null) {
      throw failed(name, "returned null, expected a mixture", null);
    }
    try {
      fixed(mixture);
    } catch (LorikeetException e) {
      throw failed(name, "chose " + mixture.shares() + ": " + e.getMessage(), e);
    }
    return mixture;
  }

  private Experts experts(String name, Supplier<Experts> source) {
    Experts experts;
    try {
      experts = source.get();
    } catch (RuntimeException | Error e) {
      throw failed(name, "failed to name its adapters: " + e, e);
    }
    for (String adapter : experts.adapters()) {
      if (adapters.find(adapter).isEmpty()) {
        throw failed(
            name, "chooses among adapters of which '" + adapter + "' is not registered", null);
      }
    }
    return experts;
  }

  private static LorikeetException failed(
      String name, String what, @org.jspecify.annotations.Nullable Throwable cause) {
    String message = "router '" + name + "' " + what;
    return cause == null
        ? new LorikeetException(Code.ROUTER_FAILED, message)
        : new LorikeetException(Code.ROUTER_FAILED, message, cause);
  }
}
