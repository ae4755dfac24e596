package dev.lorikeet;

import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.shape.ModelInfo;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionException;

/**
 * One base model, its adapters and the memory they share: what an application opens, uses and
 * closes. Thread-safe.
 *
 * <pre>{@code
 * try (Lorikeet lorikeet = Lorikeet.open(modelDirectory)) {
 *   lorikeet.register("support", adapterDirectory);
 *   String answer = lorikeet.generate("Dear customer,", "support");
 * }
 * }</pre>
 */
public final class Lorikeet implements AutoCloseable {
  private final PagePool pool;
  private final AdapterStore adapters;
  private final BaseModel model;
  private final Plugins plugins;
  private final Deque<AutoCloseable> routers = new ArrayDeque<>();

  private Lorikeet(Plugins plugins, PagePool pool, AdapterStore adapters, BaseModel model) {
    this.plugins = plugins;
    this.pool = pool;
    this.adapters = adapters;
    this.model = model;
  }

  /** Opens a Hugging Face model directory with the best plugins found and default settings. */
  public static Lorikeet open(Path modelDirectory) {
    return builder(modelDirectory).open();
  }

  /** Returns a builder for a Hugging Face model directory. */
  public static Builder builder(Path modelDirectory) {
    return new Builder(modelDirectory);
  }

  /** Returns the base model. */
  public BaseModel model() {
    return model;
  }

  /** Returns the adapter store. */
  public AdapterStore adapters() {
    return adapters;
  }

  /** Returns the page pool, for its statistics. */
  public PagePool pool() {
    return pool;
  }

  /**
   * Registers a PEFT adapter directory under a name; replaces an adapter of that name for later
   * requests.
   */
  public AdapterSpec register(String name, Path adapterDirectory) {
    return adapters.register(new AdapterSource(name, adapterDirectory));
  }

  /** Opens the router plugin of this name and lets requests name it. */
  public void addRouter(String name, Map<String, String> options) {
    addRouter(name, name, options);
  }

  /**
   * Opens a router plugin and lets requests name it by another name, so that one plugin may serve
   * under several settings.
   *
   * @param name what requests call it
   * @param plugin the plugin's name
   */
  public void addRouter(String name, String plugin, Map<String, String> options) {
    Router router = plugins.router(plugin).open(RouterConfig.of(model.info()).withOptions(options));
    synchronized (routers) {
      routers.push(router);
    }
    model.addRouter(name, router);
  }

  /**
   * Lets requests name a router of the application's own, which the application closes after this
   * object.
   */
  public void addRouter(String name, Router router) {
    model.addRouter(name, router);
  }

  /** Submits a request that nobody observes. */
  public Generation submit(GenerationRequest request) {
    return model.submit(request);
  }

  /** Submits a request; see {@link BaseModel#submit(GenerationRequest, RequestObserver)}. */
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    return model.submit(request, observer);
  }

  /** Continues a text with the base model alone, greedily, and waits for the result. */
  public String generate(String prompt) {
    return submit(GenerationRequest.text(prompt).build()).await().text();
  }

  /** Continues a text with an adapter, greedily, and waits for the result. */
  public String generate(String prompt, String adapter) {
    return submit(GenerationRequest.text(prompt).adapter(adapter).build()).await().text();
  }

  /**
   * Returns the log-probabilities of a text's tokens under the base model with any choice of
   * adapters; waits for them.
   */
  public Score score(Prompt prompt, AdapterChoice adapter) {
    return score(prompt, adapter, RequestObserver.none());
  }

  /**
   * Returns the log-probabilities of a text's tokens, and shows the hidden states on the way; waits
   * for them.
   */
  public Score score(Prompt prompt, AdapterChoice adapter, RequestObserver observer) {
    try {
      return model.score(ScoreRequest.of(prompt, adapter), observer).join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof LorikeetException cause ? cause : e;
    }
  }

  /** Ends all requests and releases everything, in the right order. Idempotent. */
  @Override
  public void close() {
    Deque<AutoCloseable> owned = new ArrayDeque<>();
    owned.add(model);
    synchronized (routers) {
      owned.addAll(routers);
      routers.clear();
    }
    owned.add(adapters);
    owned.add(pool);
    closeAll(owned);
  }

  private static void closeAll(Deque<AutoCloseable> owned) {
    RuntimeException failure = null;
    for (AutoCloseable closeable : owned) {
      try {
        closeable.close();
      } catch (Exception e) {
        RuntimeException wrapped =
            e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
        if (failure == null) {
          failure = wrapped;
        } else {
          failure.addSuppressed(wrapped);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Opens a model with chosen plugins and settings. */
  public static final class Builder {
    private final Path directory;
    private Optional<Plugins> plugins = Optional.empty();
    private Optional<String> pool = Optional.empty();
    private Optional<String> store = Optional.empty();
    private Optional<String> executor = Optional.empty();
    private Optional<String> baseModel = Optional.empty();
    private final Map<String, String> poolOptions = new HashMap<>();
    private final Map<String, String> storeOptions = new HashMap<>();
    private final Map<String, String> executorOptions = new HashMap<>();
    private final Map<String, String> modelOptions = new HashMap<>();
    private long poolBytes = 1L << 30;
    private int pageBytes = PoolConfig.DEFAULT_PAGE_BYTES;

    private Builder(Path directory) {
      this.directory = directory;
    }

    /** Uses these plugins instead of discovering them. */
    public Builder plugins(Plugins value) {
      plugins = Optional.of(value);
      return this;
    }

    /** Sets how much memory KV cache and adapters share; 1 GiB by default. */
    public Builder poolBytes(long bytes) {
      poolBytes = bytes;
      return this;
    }

    /** Sets the size of a page; {@link PoolConfig#DEFAULT_PAGE_BYTES} by default. */
    public Builder pageBytes(int bytes) {
      pageBytes = bytes;
      return this;
    }

    /** Chooses the page pool by name. */
    public Builder pagePool(String name) {
      pool = Optional.of(name);
      return this;
    }

    /** Chooses the adapter store by name. */
    public Builder adapterStore(String name) {
      store = Optional.of(name);
      return this;
    }

    /** Chooses the LoRA executor by name. */
    public Builder loraExecutor(String name) {
      executor = Optional.of(name);
      return this;
    }

    /** Chooses the base model plugin by name. */
    public Builder baseModel(String name) {
      baseModel = Optional.of(name);
      return this;
    }

    /** Sets an option of the page pool. */
    public Builder poolOption(String key, String value) {
      poolOptions.put(key, value);
      return this;
    }

    /** Sets an option of the adapter store. */
    public Builder storeOption(String key, String value) {
      storeOptions.put(key, value);
      return this;
    }

    /** Sets an option of the LoRA executor. */
    public Builder executorOption(String key, String value) {
      executorOptions.put(key, value);
      return this;
    }

    /** Sets an option of the base model plugin, such as its number of threads. */
    public Builder modelOption(String key, String value) {
      modelOptions.put(key, value);
      return this;
    }

    /**
     * Opens everything, or nothing.
     *
     * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}, {@code MODEL_INVALID}, {@code
     *     MODEL_UNSUPPORTED} or {@code POOL_EXHAUSTED}
     */
    public Lorikeet open() {
      Plugins found = plugins.orElseGet(Plugins::discover);
      BaseModelProvider models = found.baseModel(baseModel);
      LoraExecutorProvider executors = found.loraExecutor(executor);
      var stores = found.adapterStore(store);
      var pools = found.pagePool(pool);
      ModelInfo info = models.describe(directory);

      Deque<AutoCloseable> opened = new ArrayDeque<>();
      try {
        PagePool pages = pools.open(PoolConfig.of(poolBytes, pageBytes).withOptions(poolOptions));
        opened.push(pages);
        AdapterStore adapters =
            stores.open(StoreConfig.of(info.shape(), pages).withOptions(storeOptions));
        opened.push(adapters);
        BaseModel model =
            models.open(
                ModelConfig.of(
                        directory,
                        pages,
                        adapters,
                        workers ->
                            executors.open(ExecutorConfig.of(workers).withOptions(executorOptions)))
                    .withOptions(modelOptions));
        return new Lorikeet(found, pages, adapters, model);
      } catch (RuntimeException | Error failure) {
        try {
          closeAll(opened);
        } catch (RuntimeException e) {
          failure.addSuppressed(e);
        }
        throw failure;
      }
    }
  }
}
