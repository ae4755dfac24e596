package dev.lorikeet.jlama;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.model.ModelConfig;
import dev.lorikeet.host.serving.Serving;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.jlama.decoder.Decoder;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.HfTokenizer;
import io.opentelemetry.api.GlobalOpenTelemetry;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * A base model from a Hugging Face directory: weights, tokenizer, decoder and the serving of
 * requests.
 */
final class JlamaModel implements BaseModel {
  private final ModelInfo info;
  private final HfTokenizer tokenizer;
  private final Serving serving;
  private final ClosingStack resources;
  private volatile boolean closed;

  private JlamaModel(
      ModelInfo info, HfTokenizer tokenizer, Serving serving, ClosingStack resources) {
    this.info = info;
    this.tokenizer = tokenizer;
    this.serving = serving;
    this.resources = resources;
  }

  static JlamaModel open(dev.lorikeet.model.ModelConfig request, ModelOptions options) {
    Path directory = request.directory();
    ModelConfig config = ModelConfig.read(directory);
    ClosingStack resources = new ClosingStack();
    try {
      ModelWeights weights = ModelWeights.open(directory, config, options.copiedWeights());
      resources.push(weights::close);
      HfTokenizer tokenizer = HfTokenizer.open(directory);
      resources.push(tokenizer::close);
      WorkerTeam team = new WorkerTeam("lorikeet-worker", options.threads());
      resources.push(team::close);
      LoraExecutor executor = request.executor().apply(team);
      resources.push(executor::close);
      if (options.switching() == Switching.MERGE && !Decoder.canMerge(weights, executor)) {
        throw new IllegalArgumentException(
            "option 'switching': expected delta or auto, since the executor does not merge into "
                + weights.storage()
                + " weights, found 'merge'");
      }
      Decoder decoder =
          new Decoder(
              config,
              weights,
              request.pool(),
              team,
              executor,
              options.serving().limits().batchTokens(),
              options.serving().limits().logits(),
              options.kvType(),
              options.switching());
      resources.push(decoder::close);
      ModelInfo info = info(directory, config, weights.storage());
      Telemetry telemetry = new Telemetry(GlobalOpenTelemetry.getOrNoop(), directory);
      Serving serving =
          new Serving(
              info,
              decoder,
              tokenizer,
              ChatTemplate.read(directory),
              request.adapters(),
              request.pool(),
              options.serving(),
              telemetry);
      resources.push(serving::close);
      resources.push(
          telemetry.observe(
                  serving::stats,
                  serving::prefixStats,
                  request.pool()::stats,
                  request.adapters()::stats)
              ::close);
      return new JlamaModel(info, tokenizer, serving, resources);
    } catch (RuntimeException | Error failure) {
      try {
        resources.close();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
  }

  /** Reads configuration and weight headers; closes what it maps. */
  static ModelInfo describe(Path directory) {
    ModelConfig config = ModelConfig.read(directory);
    try (ModelWeights weights = ModelWeights.open(directory, config)) {
      return info(directory, config, weights.storage());
    }
  }

  /**
   * A sequence ends where a sliding window would begin to forget, so that attention over all
   * positions is exact.
   */
  private static ModelInfo info(Path directory, ModelConfig config, String storage) {
    return new ModelInfo(
        directory,
        config.family().name().toLowerCase(Locale.ROOT),
        config.shape(),
        storage,
        Math.min(config.maxPositions(), config.slidingWindow().orElse(Integer.MAX_VALUE)),
        config.eosTokens());
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Generation submit(GenerationRequest request) {
    return whileOpen(() -> serving.submit(request));
  }

  @Override
  public CompletableFuture<Score> score(ScoreRequest request) {
    try {
      return whileOpen(() -> serving.score(request));
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
  public void addRouter(String name, Router router) {
    serving.addRouter(name, router);
  }

  @Override
  public List<Integer> encode(String text) {
    return whileOpen(() -> Arrays.stream(tokenizer.encode(text, true)).boxed().toList());
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
  public synchronized void close() {
    if (!closed) {
      closed = true;
      resources.close();
    }
  }
}
