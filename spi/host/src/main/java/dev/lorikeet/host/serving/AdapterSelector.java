package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.shape.TargetModule;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

/** Resolves what a request says of adapters: names, mixtures and routers. Thread-safe. */
final class AdapterSelector {
  private static final int MAX_MIXTURE = 16;

  private static final System.Logger LOGGER = System.getLogger(AdapterSelector.class.getName());

  private final AdapterStore adapters;
  private final StepDecoder decoder;
  private final RouterPolicy policy;
  private final Map<String, Router> routers = new ConcurrentHashMap<>();

  AdapterSelector(AdapterStore adapters, StepDecoder decoder, RouterPolicy policy) {
    this.adapters = adapters;
    this.decoder = decoder;
    this.policy = policy;
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
      case AdapterChoice.PerToken(List<Mixture> mixtures) -> perToken(mixtures, tokens.size());
      case AdapterChoice.Routed(String name) -> {
        Router router = router(name);
        try {
          yield routed(name, router, text, tokens, tenant, attributes);
        } catch (LorikeetException e) {
          if (policy.fallback() == RouterPolicy.Fallback.FAIL) {
            throw e;
          }
          LOGGER.log(
              System.Logger.Level.WARNING,
              "a request goes on with the base model alone: " + e.getMessage());
          yield new Selection.Fixed(Mixture.none());
        }
      }
    };
  }

  private Selection routed(
      String name,
      Router router,
      String text,
      List<Integer> tokens,
      String tenant,
      Map<String, String> attributes) {
    return switch (router) {
      case RequestRouter r -> new Selection.Fixed(ask(name, r, text, tokens, tenant, attributes));
      case TokenRouter r ->
          new Selection.ByToken(
              name,
              r,
              experts(name, r::experts, Use.MIXED),
              told(name, "what context it wants", r::context));
      case LayerRouter r -> new Selection.ByLayer(name, r, experts(name, r::experts, Use.BY_LAYER));
    };
  }

  private Selection fixed(Mixture mixture) {
    check(mixture);
    return new Selection.Fixed(mixture);
  }

  private Selection perToken(List<Mixture> mixtures, int tokens) {
    if (mixtures.size() != tokens) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "mixtures: expected one for each of the "
              + tokens
              + " tokens of the prompt, found "
              + mixtures.size());
    }
    mixtures.stream().distinct().forEach(this::check);
    return new Selection.PerToken(mixtures);
  }

  private void check(Mixture mixture) {
    if (mixture.shares().size() > MAX_MIXTURE) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "mixture: expected at most "
              + MAX_MIXTURE
              + " adapters, found "
              + mixture.shares().size());
    }
    for (Mixture.Share share : mixture.shares()) {
      AdapterSpec spec = registered(adapters, share.adapter());
      boolean alone = mixture.shares().size() == 1 && share.weight() == 1;
      refusal(spec, alone ? Use.ALONE : Use.MIXED)
          .ifPresent(
              refusal -> {
                throw refusal;
              });
    }
  }

  /** Returns what the store says of an adapter; refuses a name that it does not know. */
  static AdapterSpec registered(AdapterStore adapters, String adapter) {
    return ofStore(() -> adapters.find(adapter))
        .orElseThrow(
            () ->
                new LorikeetException(
                    Code.ADAPTER_NOT_FOUND, "adapter '" + adapter + "' is not registered"));
  }

  /** How an adapter is to be used. */
  private enum Use {
    /** By itself. */
    ALONE,
    /** With a weight, maybe together with others. */
    MIXED,
    /** The same, and chosen anew for each layer. */
    BY_LAYER
  }

  /** Returns why an adapter can't be used like that, if it can't. */
  private Optional<LorikeetException> refusal(AdapterSpec spec, Use use) {
    if (spec.isPlain()) {
      return Optional.empty();
    }
    if (use != Use.ALONE && spec.scalesOutputs()) {
      return Optional.of(
          new LorikeetException(
              Code.INVALID_REQUEST,
              "adapter '"
                  + spec.id()
                  + "': expected it alone, with weight 1, since it multiplies outputs of the base"
                  + " model (DoRA or IA3) and can't be mixed; found a mixture"));
    }
    if (use == Use.BY_LAYER && changesMoreThanLayers(spec)) {
      return Optional.of(
          new LorikeetException(
              Code.INVALID_REQUEST,
              "adapter '"
                  + spec.id()
                  + "': expected one that changes layers alone, since the router chooses for each"
                  + " layer; found one of embeddings or output layer"));
    }
    return AdapterLoader.refused(decoder, spec);
  }

  private static boolean changesMoreThanLayers(AdapterSpec spec) {
    return spec.targets().stream().anyMatch(t -> t.target().layer() == TargetModule.NONE)
        || spec.parts().stream().anyMatch(p -> p.target().layer() == TargetModule.NONE);
  }

  /** Asks the store, which may be anybody's. */
  static <T> T ofStore(Supplier<T> question) {
    try {
      return question.get();
    } catch (LorikeetException e) {
      throw e;
    } catch (Throwable e) {
      throw AdapterLoader.failed(e);
    }
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
        RequestContext.builder()
            .text(text)
            .tokens(tokens)
            .tenant(tenant)
            .attributes(attributes)
            .adapters(ofStore(() -> adapters.list().stream().map(AdapterSpec::id).toList()))
            .build();
    long begin = System.nanoTime();
    Mixture mixture = told(name, "a mixture", () -> router.route(context));
    long nanos = System.nanoTime() - begin;
    if (policy.isTooLong(nanos)) {
      throw failed(name, policy.tooLong(nanos), null);
    }
    try {
      check(mixture);
    } catch (LorikeetException e) {
      throw failed(name, "chose " + mixture.shares() + ": " + e.getMessage(), e);
    }
    return mixture;
  }

  /** Asks a router that may throw or return null. */
  private static <T> T told(String name, String what, Supplier<T> source) {
    T answer;
    try {
      answer = source.get();
    } catch (Throwable e) { // checked ones as well, which other languages do not declare
      throw failed(name, "failed: " + e, e);
    }
    if (answer == null) {
      throw failed(name, "returned null, expected " + what, null);
    }
    return answer;
  }

  private Experts experts(String name, Supplier<Experts> source, Use use) {
    Experts experts = told(name, "its adapters", source);
    for (String adapter : experts.adapters()) {
      Optional<AdapterSpec> spec = ofStore(() -> adapters.find(adapter));
      if (spec.isEmpty()) {
        throw failed(
            name, "chooses among adapters of which '" + adapter + "' is not registered", null);
      }
      Optional<LorikeetException> refusal = refusal(spec.get(), use);
      if (refusal.isPresent()) {
        throw failed(name, "can't choose: " + refusal.get().getMessage(), refusal.get());
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
