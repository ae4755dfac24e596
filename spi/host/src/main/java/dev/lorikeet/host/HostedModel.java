package dev.lorikeet.host;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.serving.Conversations;
import dev.lorikeet.host.serving.Served;
import dev.lorikeet.host.serving.Serving;
import dev.lorikeet.host.serving.ServingOptions;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.host.telemetry.GlobalTelemetry;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.EncodingLimit;
import dev.lorikeet.text.HfTokenizer;
import dev.lorikeet.text.Tokenizer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * A base model around a decoder: takes requests, batches them, and streams what comes of them. All
 * of a base model but its weights and their arithmetic, whatever the hardware.
 */
public final class HostedModel implements BaseModel {
  private static final long MOST_ENCODING_NANOS = 10_000_000_000L;
  private final ModelInfo info;
  private final Tokenizer tokenizer;
  private final Serving serving;
  private final Map<Class<?>, Object> offers;
  private final ClosingStack resources;
  private volatile boolean closed;

  private HostedModel(
      ModelInfo info,
      Tokenizer tokenizer,
      Serving serving,
      Map<Class<?>, Object> offers,
      ClosingStack resources) {
    this.info = info;
    this.tokenizer = tokenizer;
    this.serving = serving;
    this.offers = Map.copyOf(offers);
    this.resources = resources;
  }

  /**
   * Begins to open a model. What the provider opens on the way it hands to {@link Opening#owns};
   * the model closes it in the end, or the opening does if it fails before.
   *
   * <pre>{@code
   * try (HostedModel.Opening opening = HostedModel.opening(config, options)) {
   *   LoraExecutor executor = opening.owns(config.executor().apply(workers));
   *   StepDecoder decoder = opening.owns(new MyDecoder(config.pool(), executor));
   *   return opening.open(info, decoder);
   * }
   * }</pre>
   *
   * @param config what the application asks for
   * @param options how requests are served
   */
  public static Opening opening(ModelConfig config, ServingOptions options) {
    return new Opening(config, options);
  }

  /** A model that is being opened, by one thread. */
  public static final class Opening implements AutoCloseable {
    private final ModelConfig config;
    private final ServingOptions options;
    private final Turns turns = new Turns();
    private final Map<Class<?>, Object> offers = new HashMap<>();
    private ClosingStack resources = new ClosingStack();

    private Opening(ModelConfig config, ServingOptions options) {
      this.config = config;
      this.options = options;
    }

    /**
     * Takes over a resource, which is closed after everything that was taken over later.
     *
     * @return the resource
     */
    public <R extends AutoCloseable> R owns(R resource) {
      return resources.push(resource);
    }

    /**
     * Returns the turns that steps take with other work over the same weights. The model closes
     * them before anything that the opening owns.
     */
    public Turns turns() {
      return turns;
    }

    /**
     * Lets {@link BaseModel#extension} find something that the model offers beside its contract.
     */
    public <T> void offers(Class<T> type, T extension) {
      offers.put(type, extension);
    }

    /**
     * Reads tokenizer and chat template of the model directory and starts to serve. The tokenizer's
     * {@code eos_token} ends a generation like those that {@code info} names. Conversations are
     * written by the template that the configuration names, by that of the adapter that a request
     * names, or by the model's, the first of them that is there.
     *
     * @param info what is known of the model
     * @param decoder computes its steps; owned by this opening, or closed by the caller after the
     *     model
     * @throws LorikeetException with code {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED}
     */
    public HostedModel open(ModelInfo info, StepDecoder decoder) {
      HfTokenizer tokenizer = owns(HfTokenizer.open(config.directory()));
      Optional<ChatTemplate> chosen =
          config.chatTemplate().map(file -> ChatTemplate.chosen(file, config.directory()));
      return open(
          withEos(info, tokenizer),
          decoder,
          tokenizer,
          chosen.isPresent()
              ? new Conversations(chosen, false)
              : new Conversations(ChatTemplate.read(config.directory()), true));
    }

    private static ModelInfo withEos(ModelInfo info, HfTokenizer tokenizer) {
      OptionalInt eos = tokenizer.eosTokenId();
      if (eos.isEmpty() || eos.getAsInt() >= info.shape().vocabulary()) {
        return info;
      }
      Set<Integer> tokens = new HashSet<>(info.eosTokens());
      tokens.add(eos.getAsInt());
      return info.toBuilder().eosTokens(tokens).build();
    }

    /** Starts to serve with any tokenizer, which is closed like the decoder. */
    public HostedModel open(
        ModelInfo info,
        StepDecoder decoder,
        Tokenizer tokenizer,
        Optional<ChatTemplate> chatTemplate) {
      return open(info, decoder, tokenizer, new Conversations(chatTemplate, true));
    }

    private HostedModel open(
        ModelInfo info, StepDecoder decoder, Tokenizer tokenizer, Conversations conversations) {
      Telemetry telemetry = new Telemetry(GlobalTelemetry.orNoop(), config.directory());
      Serving serving =
          owns(
              new Serving(
                  new Served(info, decoder, tokenizer, conversations, turns),
                  config.adapters(),
                  config.pool(),
                  options,
                  telemetry));
      owns(
          telemetry.observe(
              serving::stats,
              serving::prefixStats,
              config.pool()::stats,
              config.adapters()::stats));
      owns(turns);
      HostedModel model = new HostedModel(info, tokenizer, serving, offers, resources);
      resources = new ClosingStack();
      return model;
    }

    /** Closes what was taken over, unless a model has it now. */
    @Override
    public void close() {
      resources.close();
    }
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Generation submit(GenerationRequest request, RequestObserver observer) {
    return whileOpen(() -> serving.submit(request, observer));
  }

  @Override
  public CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer) {
    try {
      return whileOpen(() -> serving.score(request, observer));
    } catch (LorikeetException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  /**
   * The tokenizer may be closed under a request that comes at the same moment; that is the model
   * being closed, too.
   */
  private <T> T whileOpen(Supplier<T> action) {
    if (!closed) {
      try {
        return action.get();
      } catch (IllegalStateException e) {
        if (!closed) {
          throw e;
        }
      }
    }
    throw new LorikeetException(Code.CLOSED, "the model was closed");
  }

  @Override
  public <T> Optional<T> extension(Class<T> type) {
    return Optional.ofNullable(offers.get(type)).map(type::cast);
  }

  @Override
  public void addRouter(String name, Router router) {
    serving.addRouter(name, router);
  }

  @Override
  public List<Integer> encode(String text) {
    tokenizer.checkLength(text, info.maxPositions());
    long began = System.nanoTime();
    EncodingLimit limit = new EncodingLimit(Integer.MAX_VALUE, () -> checkEncoding(began));
    return whileOpen(() -> Arrays.stream(tokenizer.encode(text, true, limit)).boxed().toList());
  }

  /** Called between pieces of a text; there is no request whose time-out would end it. */
  private void checkEncoding(long began) {
    if (closed) {
      throw new LorikeetException(Code.CLOSED, "the model was closed");
    }
    if (Thread.currentThread().isInterrupted()) {
      throw new LorikeetException(Code.CANCELLED, "text: interrupted while it was encoded");
    }
    if (System.nanoTime() - began > MOST_ENCODING_NANOS) {
      throw new LorikeetException(
          Code.DEADLINE_EXCEEDED, "text: expected one that is encoded within 10 s");
    }
  }

  @Override
  public String decode(List<Integer> tokens) {
    for (int token : tokens) {
      if (token < 0 || token >= info.shape().vocabulary()) {
        throw new LorikeetException(
            Code.INVALID_REQUEST,
            "token id: expected 0 to " + (info.shape().vocabulary() - 1) + ", found " + token);
      }
    }
    return whileOpen(
        () -> tokenizer.decode(tokens.stream().mapToInt(Integer::intValue).toArray(), true));
  }

  @Override
  public ModelStats stats() {
    return serving.stats();
  }

  @Override
  public Health health() {
    return closed ? Health.closed() : serving.health();
  }

  @Override
  public void close() {
    // Before anything is locked: another thread may be in here, waiting for the decoding thread.
    serving.refuseToCloseOnDecodingThread();
    closeOnce();
  }

  private synchronized void closeOnce() {
    if (!closed) {
      closed = true;
      resources.close();
    }
  }
}
