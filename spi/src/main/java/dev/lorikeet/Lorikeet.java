package dev.lorikeet;

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
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * One base model, its adapters and the memory they share: what an application opens, uses and
 * closes. Thread-safe. An interface, so that an application's tests can put something else in its
 * place.
 *
 * <pre>{@code
 * try (Lorikeet lorikeet = Lorikeet.open(modelDirectory)) {
 *   lorikeet.register("support", adapterDirectory);
 *   String answer = lorikeet.generate("Dear customer,", "support");
 * }
 * }</pre>
 *
 * <p>Whatever fails is a {@link LorikeetException} with a code; after {@link #close} that is {@code
 * CLOSED}.
 */
public interface Lorikeet extends AutoCloseable {

  /** Opens a Hugging Face model directory with the best plugins found and default settings. */
  static Lorikeet open(Path modelDirectory) {
    return builder(modelDirectory).open();
  }

  /** Returns a builder for a Hugging Face model directory. */
  static Builder builder(Path modelDirectory) {
    return new Builder(modelDirectory);
  }

  /** Returns the base model. */
  BaseModel model();

  /**
   * Returns the adapter store, with all that its contract offers; its methods answer use after
   * close as the specification says, with {@link IllegalStateException}.
   */
  AdapterStore adapters();

  /** Returns the page pool, for its statistics; its methods answer like those of the store. */
  PagePool pool();

  /**
   * Registers a PEFT adapter directory under a name; replaces an adapter of that name for later
   * requests.
   *
   * @param name 1 to 200 characters, no control characters, no blank at either end
   * @throws LorikeetException with code {@code INVALID_REQUEST} for the name, {@code
   *     ADAPTER_INVALID}, {@code ADAPTER_UNSUPPORTED}, {@code ADAPTER_NOT_FOUND} or {@code
   *     TOO_LARGE} for the adapter
   */
  AdapterSpec register(String name, Path adapterDirectory);

  /**
   * Removes an adapter's name: later requests for it are refused, and its memory is free once those
   * that run with it have ended.
   *
   * @return whether the name was registered
   */
  boolean unregister(String name);

  /** Opens the router plugin of this name and lets requests name it. */
  default void addRouter(String name, Map<String, String> options) {
    addRouter(name, name, options);
  }

  /**
   * Opens a router plugin and lets requests name it by another name, so that one plugin may serve
   * under several settings.
   *
   * @param name what requests call it
   * @param plugin the plugin's name
   * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}, {@code INVALID_CONFIG} for an
   *     option, or that and {@code ROUTER_FAILED} for a file that an option names
   */
  void addRouter(String name, String plugin, Map<String, String> options);

  /**
   * Lets requests name a router of the application's own, which the application closes after this
   * object.
   */
  void addRouter(String name, Router router);

  /** Submits a request that nobody observes. */
  default Generation submit(GenerationRequest request) {
    return submit(request, RequestObserver.none());
  }

  /** Submits a request; see {@link BaseModel#submit(GenerationRequest, RequestObserver)}. */
  Generation submit(GenerationRequest request, RequestObserver observer);

  /** Continues a text with the base model alone, greedily, and waits for the result. */
  default String generate(String prompt) {
    return submit(GenerationRequest.text(prompt).build()).await().text();
  }

  /** Continues a text with an adapter, greedily, and waits for the result. */
  default String generate(String prompt, String adapter) {
    return submit(GenerationRequest.text(prompt).adapter(adapter).build()).await().text();
  }

  /**
   * Returns the log-probabilities of a text's tokens under the base model with any choice of
   * adapters; waits for them.
   */
  default Score score(Prompt prompt, AdapterChoice adapter) {
    return score(prompt, adapter, RequestObserver.none());
  }

  /**
   * Returns the log-probabilities of a text's tokens, and shows the hidden states on the way; waits
   * for them.
   *
   * @throws LorikeetException if the request failed, with code {@code CANCELLED} if this thread was
   *     interrupted (which cancels it)
   */
  Score score(Prompt prompt, AdapterChoice adapter, RequestObserver observer);

  /** Returns whether requests are taken, and if not, why; see {@link BaseModel#health}. */
  Health health();

  /**
   * Ends all requests and releases everything, in the right order. Idempotent.
   *
   * @throws LorikeetException with code {@code WRONG_THREAD}, and nothing is closed, if an observer
   *     or a router calls it on the decoding thread
   */
  @Override
  void close();

  /** Opens a model with chosen plugins and settings. */
  final class Builder {
    private static final int PAGE_STEP = 4096;

    private final Path directory;
    private Optional<Plugins> plugins = Optional.empty();
    private Optional<String> pool = Optional.empty();
    private Optional<String> store = Optional.empty();
    private Optional<String> executor = Optional.empty();
    private Optional<String> baseModel = Optional.empty();
    private Optional<Path> chatTemplate = Optional.empty();
    private final Map<String, String> poolOptions = new HashMap<>();
    private final Map<String, String> storeOptions = new HashMap<>();
    private final Map<String, String> executorOptions = new HashMap<>();
    private final Map<String, String> modelOptions = new HashMap<>();
    private long poolBytes = 1L << 30;
    private OptionalInt pageBytes = OptionalInt.empty();

    private Builder(Path directory) {
      this.directory = Objects.requireNonNull(directory, "modelDirectory");
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

    /**
     * Sets the size of a page. By default it is {@link PoolConfig#DEFAULT_PAGE_BYTES}, or more
     * where the model is so wide that a row of an adapter in F32 would not fit.
     */
    public Builder pageBytes(int bytes) {
      pageBytes = OptionalInt.of(bytes);
      return this;
    }

    /** Returns the size of a page that a row of every target module fits into. */
    private static int pageBytes(ModelShape shape) {
      int widest =
          shape.modules().modules().stream()
              .flatMap(module -> module.parts().stream())
              .mapToInt(part -> Math.max(shape.inFeatures(part), shape.outFeatures(part)))
              .max()
              .orElse(1);
      int rowBytes = Math.multiplyExact(widest, Float.BYTES);
      return Math.max(PoolConfig.DEFAULT_PAGE_BYTES, Math.ceilDiv(rowBytes, PAGE_STEP) * PAGE_STEP);
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

    /**
     * Uses the chat template of a file for all conversations, in place of the model's and of those
     * that adapters bring. By default an adapter's own is used for requests that name it, and the
     * model's for all others.
     */
    public Builder chatTemplate(Path file) {
      chatTemplate = Optional.of(file);
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
     * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}, {@code INVALID_CONFIG},
     *     {@code MODEL_NOT_FOUND}, {@code MODEL_INVALID}, {@code MODEL_UNSUPPORTED}, {@code
     *     DOWNLOAD_FAILED} or {@code POOL_EXHAUSTED}
     */
    public Lorikeet open() {
      Plugins found = plugins.orElseGet(Plugins::discover);
      BaseModelProvider models = found.baseModel(baseModel);
      LoraExecutorProvider executors = found.loraExecutor(executor);
      var stores = found.adapterStore(store);
      var pools = found.pagePool(pool);

      try (Opened opened = new Opened()) {
        ModelInfo info = Failures.told("reading the model", () -> models.describe(directory));
        PagePool pages =
            opened.owns(
                Failures.told(
                    "opening the page pool",
                    () ->
                        pools.open(
                            PoolConfig.of(
                                    poolBytes, pageBytes.orElseGet(() -> pageBytes(info.shape())))
                                .withOptions(poolOptions))));
        AdapterStore adapters =
            opened.owns(
                Failures.told(
                    "opening the adapter store",
                    () ->
                        stores.open(
                            StoreConfig.of(info.shape(), pages)
                                .withModel(info.directory())
                                .withOptions(storeOptions))));
        ModelConfig config =
            ModelConfig.of(
                    directory,
                    pages,
                    adapters,
                    workers ->
                        executors.open(ExecutorConfig.of(workers).withOptions(executorOptions)))
                .withOptions(modelOptions);
        ModelConfig asked = chatTemplate.map(config::withChatTemplate).orElse(config);
        BaseModel model = opened.owns(Failures.told("opening the model", () -> models.open(asked)));
        return new OpenLorikeet(found, pages, adapters, model, opened.keep());
      }
    }
  }
}
