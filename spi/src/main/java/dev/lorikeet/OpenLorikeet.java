package dev.lorikeet;

import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** A model that was opened with its plugins. */
final class OpenLorikeet implements Lorikeet {
  private final Plugins plugins;
  private final PagePool pool;
  private final AdapterStore adapters;
  private final BaseModel model;
  private final Opened owned;
  private final Opened routers = new Opened();
  private final Object closing = new Object();
  private volatile boolean closed;

  /**
   * Takes over what was opened.
   *
   * @param owned pool, store and model
   */
  OpenLorikeet(
      Plugins plugins, PagePool pool, AdapterStore adapters, BaseModel model, Opened owned) {
    this.plugins = plugins;
    this.pool = pool;
    this.adapters = adapters;
    this.model = model;
    this.owned = owned;
  }

  @Override
  public BaseModel model() {
    return model;
  }

  @Override
  public AdapterStore adapters() {
    return adapters;
  }

  @Override
  public PagePool pool() {
    return pool;
  }

  @Override
  public AdapterSpec register(String name, Path adapterDirectory) {
    Objects.requireNonNull(adapterDirectory, "adapterDirectory");
    AdapterSource source = new AdapterSource(name, adapterDirectory);
    return whileOpen("registering adapter '" + name + "'", () -> adapters.register(source));
  }

  @Override
  public boolean unregister(String name) {
    Objects.requireNonNull(name, "name");
    return whileOpen("unregistering adapter '" + name + "'", () -> adapters.unregister(name));
  }

  @Override
  public void addRouter(String name, String plugin, Map<String, String> options) {
    Objects.requireNonNull(name, "name");
    RouterConfig config = RouterConfig.of(model.info()).withOptions(options);
    whileOpen(
        "adding router '" + name + "'",
        () -> {
          RouterProvider provider = plugins.router(plugin);
          Router router =
              Failures.told("opening router plugin '" + plugin + "'", () -> provider.open(config));
          synchronized (closing) {
            routers.owns(router);
            if (closed) {
              routers.close();
              throw closed();
            }
          }
          model.addRouter(name, router);
          return router;
        });
  }

  @Override
  public void addRouter(String name, Router router) {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(router, "router");
    whileOpen(
        "adding router '" + name + "'",
        () -> {
          model.addRouter(name, router);
          return router;
        });
  }

  @Override
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    Objects.requireNonNull(request, "request");
    Objects.requireNonNull(observer, "observer");
    return whileOpen("submitting a request", () -> model.submit(request, observer));
  }

  @Override
  public Score score(Prompt prompt, AdapterChoice adapter, RequestObserver observer) {
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(adapter, "adapter");
    Objects.requireNonNull(observer, "observer");
    ScoreRequest request = ScoreRequest.of(prompt, adapter);
    CompletableFuture<Score> score =
        whileOpen("submitting a score", () -> model.score(request, observer));
    try {
      return score.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      score.cancel(true);
      throw new LorikeetException(Code.CANCELLED, "interrupted while waiting for a score", e);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause();
      throw cause instanceof LorikeetException known
          ? new LorikeetException(known.code(), known.getMessage(), known)
          : new LorikeetException(Code.INTERNAL, "a score failed: " + cause, e);
    }
  }

  @Override
  public Health health() {
    return closed ? Health.closed() : model.health();
  }

  /** What a plugin makes of a call that comes at the moment of closing is the closing, too. */
  private <T> T whileOpen(String doing, Supplier<T> call) {
    if (closed) {
      throw closed();
    }
    try {
      return call.get();
    } catch (Exception e) { // checked ones as well, which plugins in other languages do not declare
      if (closed && !(e instanceof LorikeetException)) {
        throw closed();
      }
      throw Failures.of(doing, e);
    }
  }

  private static LorikeetException closed() {
    return new LorikeetException(Code.CLOSED, "the model was closed");
  }

  @Override
  public void close() {
    // Before anything is locked or closed, since the decoding thread must not do so.
    try {
      model.close();
    } catch (Exception e) {
      LorikeetException failure = Failures.of("closing the model", e);
      if (failure.code() != Code.WRONG_THREAD) {
        closeTheRestAfter(failure);
      }
      throw failure;
    } catch (Error e) {
      closeTheRestAfter(e);
      throw e;
    }
    closeTheRest();
  }

  private void closeTheRestAfter(Throwable failure) {
    try {
      closeTheRest();
    } catch (RuntimeException | Error e) {
      if (!e.equals(failure)) {
        failure.addSuppressed(e);
      }
    }
  }

  private void closeTheRest() {
    synchronized (closing) {
      closed = true;
      try (owned) {
        routers.close();
      }
    }
  }
}
