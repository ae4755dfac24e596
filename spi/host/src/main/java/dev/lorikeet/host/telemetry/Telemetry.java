package dev.lorikeet.host.telemetry;

import dev.lorikeet.adapter.StoreStats;
import dev.lorikeet.host.kv.PrefixStats;
import dev.lorikeet.host.switching.SwitchStats;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.ModelStats;
import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.BatchCallback;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.metrics.ObservableLongMeasurement;
import io.opentelemetry.api.trace.Tracer;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/** What one model tells OpenTelemetry. Thread-safe but for {@link #step}. */
public final class Telemetry {
  /*
   * Idea: spans and histograms are written when a request changes its phase, which is a handful of times in its life;
   * counts that the model keeps anyhow are read when a reader asks for them. The decoding thread pays two histogram
   * records and a counter a step, and one comparison a token. Attributes are made once per model. Without an SDK every
   * call ends in OpenTelemetry's own no-op objects.
   */
  static final String PROVIDER = "lorikeet";
  private static final String SCOPE = "dev.lorikeet.jlama";

  private final Tracer tracer;
  private final Meter meter;
  private final Instruments instruments;
  private final SwitchMetrics switchMetrics;
  private final String model;

  /**
   * Makes the instruments of a model.
   *
   * @param openTelemetry where spans and metrics go
   * @param directory the model's directory, which names it
   */
  public Telemetry(OpenTelemetry openTelemetry, Path directory) {
    tracer = openTelemetry.getTracer(SCOPE);
    meter = openTelemetry.getMeter(SCOPE);
    model = modelName(directory);
    instruments = new Instruments(meter, model);
    switchMetrics = new SwitchMetrics(meter, instruments.model());
  }

  /**
   * Returns the name of a model: that of its directory, or in a Hugging Face cache, where the
   * directory is named by a hash, {@code organization/name}.
   */
  static String modelName(Path directory) {
    Path path = directory.toAbsolutePath().normalize();
    Optional<Path> snapshots = Optional.ofNullable(path.getParent());
    Optional<String> repository =
        snapshots
            .filter(p -> p.endsWith("snapshots"))
            .flatMap(p -> Optional.ofNullable(p.getParent()))
            .flatMap(p -> Optional.ofNullable(p.getFileName()))
            .map(Path::toString)
            .filter(name -> name.startsWith("models--"));
    return repository
        .map(name -> name.substring("models--".length()).replace("--", "/"))
        .or(() -> Optional.ofNullable(path.getFileName()).map(Path::toString))
        .orElseGet(path::toString);
  }

  /**
   * Begins the span of a request, as a child of the calling thread's current span.
   *
   * @param request what is known of the request before anything is checked
   */
  public RequestTrace request(RequestLabels request) {
    return new RequestTrace(tracer, instruments, model, request);
  }

  /**
   * Notes one step of the decoder; on the decoding thread alone.
   *
   * @param switching how steps with adapters were computed so far
   */
  public void step(int sequences, int tokens, SwitchStats switching) {
    instruments.step(sequences, tokens);
    switchMetrics.update(switching);
  }

  /**
   * Lets readers of metrics ask for counts, on their own threads, until the result is closed.
   *
   * @param serving counts of the queue and the decoder
   * @param prefixes counts of the prefix cache
   * @param pool counts of pages
   * @param adapters counts of the adapter store
   */
  public BatchCallback observe(
      Supplier<ModelStats> serving,
      Supplier<PrefixStats> prefixes,
      Supplier<PoolStats> pool,
      Supplier<StoreStats> adapters) {
    var queued = gauge("lorikeet.requests.queued", "{request}", "Requests that wait.");
    var running = gauge("lorikeet.requests.running", "{request}", "Requests in the batch.");
    var pages = gauge("lorikeet.pool.pages", "{page}", "Pages of the pool, by what they hold.");
    var registered = gauge("lorikeet.adapters.registered", "{adapter}", "Names in the store.");
    var resident = gauge("lorikeet.adapters.resident", "{adapter}", "Adapters in memory.");
    var steps = counter("lorikeet.decoder.steps", "{step}", "Steps of the decoder.");
    var tokens = counter("lorikeet.decoder.tokens", "{token}", "Tokens computed, by phase.");
    var hits = counter("lorikeet.adapter.hits", "{acquisition}", "Found in memory.");
    var loads = counter("lorikeet.adapter.loads", "{load}", "Brought into memory.");
    var evictions = counter("lorikeet.adapter.evictions", "{eviction}", "Left memory for room.");
    var lookups = counter("lorikeet.prefix.lookups", "{request}", "Prompts looked up.");
    var found = counter("lorikeet.prefix.hits", "{request}", "Prompts with a known beginning.");
    var reused = counter("lorikeet.prefix.reused_tokens", "{token}", "Tokens not computed again.");
    var dropped = counter("lorikeet.prefix.evictions", "{block}", "Blocks given up for room.");
    Attributes model = instruments.model();
    Attributes prefill = with(model, "prefill");
    Attributes decode = with(model, "decode");
    Map<PageOwner, Attributes> owners = new EnumMap<>(PageOwner.class);
    for (PageOwner owner : PageOwner.values()) {
      owners.put(owner, owned(model, owner.name().toLowerCase(Locale.ROOT)));
    }
    Attributes cached = owned(model, "prefix_cache");
    Attributes free = owned(model, "free");
    return meter.batchCallback(
        () -> {
          ModelStats now = serving.get();
          queued.record(now.queued(), model);
          running.record(now.running(), model);
          steps.record(now.steps(), model);
          tokens.record(now.prefillTokens(), prefill);
          tokens.record(now.decodeTokens(), decode);
          PoolStats memory = pool.get();
          PrefixStats prefix = prefixes.get();
          // The pool counts what the prefix cache keeps for later among keys and values.
          int idle = Math.min(prefix.idlePages(), memory.kvCachePages());
          owners.forEach(
              (owner, labels) ->
                  pages.record(
                      memory.pages(owner) - (owner == PageOwner.KV_CACHE ? idle : 0), labels));
          pages.record(idle, cached);
          lookups.record(prefix.lookups(), model);
          found.record(prefix.hits(), model);
          reused.record(prefix.reusedTokens(), model);
          dropped.record(prefix.evictions(), model);
          pages.record(memory.freePages(), free);
          StoreStats store = adapters.get();
          registered.record(store.registered(), model);
          resident.record(store.resident(), model);
          hits.record(store.hits(), model);
          loads.record(store.loads(), model);
          evictions.record(store.evictions(), model);
        },
        queued,
        running,
        pages,
        registered,
        resident,
        steps,
        tokens,
        hits,
        loads,
        evictions,
        lookups,
        found,
        reused,
        dropped);
  }

  private static Attributes with(Attributes model, String phase) {
    return model.toBuilder().put(Keys.PHASE, phase).build();
  }

  private static Attributes owned(Attributes model, String owner) {
    return model.toBuilder().put(Keys.PAGE_OWNER, owner).build();
  }

  private ObservableLongMeasurement gauge(String name, String unit, String description) {
    return meter
        .upDownCounterBuilder(name)
        .setUnit(unit)
        .setDescription(description)
        .buildObserver();
  }

  private ObservableLongMeasurement counter(String name, String unit, String description) {
    return meter.counterBuilder(name).setUnit(unit).setDescription(description).buildObserver();
  }
}
