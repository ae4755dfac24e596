package dev.lorikeet.jlama.generator;

import com.github.tjake.jlama.model.functions.Generator;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Jlama's {@link Generator} over a Lorikeet model: code that was written against Jlama gets
 * adapters, and batches across its threads, by changing the line that loads the model.
 *
 * <pre>{@code
 * // was: Generator model = ModelSupport.loadModel(directory.toFile(), DType.F32, DType.I8);
 * LorikeetGenerator model =
 *     LorikeetGenerator.builder(directory).register("support", adapter).adapter("support").open();
 * }</pre>
 *
 * <p>Thread-safe, other than Jlama's models: calls of any number of threads are decoded together.
 * Calls of one session wait for one another.
 *
 * <p>A session remembers what it read and wrote: a call continues it with its prompt. What is kept
 * is token ids, beyond a limit for all sessions together those used last; the keys and values are
 * in the model's prefix cache, or computed again. A call that fails leaves its session as it was.
 * The number of tokens that a call is given bounds the session, not the answer: its tokens from the
 * first, those of the prompt included.
 *
 * <p>Unlike Jlama 0.8.4: the next call of a session sees all of its context, where Jlama counts the
 * generated tokens alone and writes over others; the first token may end the generation, too; an
 * exception of the callback cancels the call and is thrown, where Jlama logs it; text is tokenized
 * as Hugging Face does it.
 */
public final class LorikeetGenerator implements Generator {
  /** How many tokens all sessions together keep by default; four bytes each. */
  public static final long DEFAULT_SESSION_TOKENS = 1L << 22;

  private final SharedModel shared;
  private final AdapterChoice adapter;
  private final OptionalLong seed;
  private final boolean root;

  private LorikeetGenerator(
      SharedModel shared, AdapterChoice adapter, OptionalLong seed, boolean root) {
    this.shared = shared;
    this.adapter = adapter;
    this.seed = seed;
    this.root = root;
  }

  /** Opens a model directory with the best plugins found, without adapters. */
  public static LorikeetGenerator open(Path modelDirectory) {
    return builder(modelDirectory).open();
  }

  /** Returns a builder for a model directory. */
  public static Builder builder(Path modelDirectory) {
    return new Builder(modelDirectory);
  }

  /** Returns a generator over a model that the caller has opened and will close. */
  public static LorikeetGenerator of(Lorikeet lorikeet, AdapterChoice adapter) {
    return of(lorikeet.model(), adapter);
  }

  /** Returns a generator over a model that the caller has opened and will close. */
  public static LorikeetGenerator of(BaseModel model, AdapterChoice adapter) {
    return new LorikeetGenerator(
        new SharedModel(model, Optional.empty(), DEFAULT_SESSION_TOKENS),
        adapter,
        OptionalLong.empty(),
        true);
  }

  /** Returns a view with another adapter; see {@link #withAdapter(AdapterChoice)}. */
  public LorikeetGenerator withAdapter(String name) {
    return withAdapter(new AdapterChoice.Named(name));
  }

  /**
   * Returns a view of the same model and the same sessions with other adapters. Closing a view does
   * nothing.
   */
  public LorikeetGenerator withAdapter(AdapterChoice choice) {
    return new LorikeetGenerator(shared, choice, seed, false);
  }

  /**
   * Continues a session.
   *
   * @param session any id; a new one begins a context of its own
   * @param promptContext what comes next, from {@link #promptSupport} or {@link PromptContext#of}
   * @param temperature 0 for the likeliest token every time, else the divisor of the logits
   * @param ntokens how long the session may become, in tokens; one token is generated in any case
   * @param onTokenWithTimings called on this thread for each token of text, with the milliseconds
   *     per token so far: for the first token of the prompt, then of the answer
   * @throws IllegalArgumentException if the prompt is empty or longer than {@code ntokens}, or the
   *     session longer than the model's longest sequence
   * @throws dev.lorikeet.LorikeetException as {@link BaseModel#submit} and {@link Generation#await}
   */
  @Override
  public Response generate(
      UUID session,
      PromptContext promptContext,
      float temperature,
      int ntokens,
      BiConsumer<String, Float> onTokenWithTimings) {
    shared.checkOpen();
    List<Integer> prompt = shared.tokenizer().encodePrompt(promptContext.getPrompt());
    int longest = Math.min(ntokens, positions());
    if (prompt.size() >= longest) {
      throw new IllegalArgumentException(
          "prompt: expected fewer than "
              + longest
              + " tokens (the smaller of ntokens and the model's longest sequence), found "
              + prompt.size());
    }
    try (Sessions.Claim claim = shared.sessions().claim(session)) {
      int[] context = context(session, claim.context(), prompt);
      Transcript transcript = new Transcript(shared.tokenizer(), prompt.size(), onTokenWithTimings);
      GenerationResult result = run(context, temperature, ntokens, transcript);
      IntStream written = result.tokens().stream().mapToInt(Integer::intValue);
      claim.keep(
          IntStream.concat(Arrays.stream(context), written.filter(token -> !ends(token)))
              .toArray());
      return ToolCalls.find(promptContext, shared.files(), transcript.response(result));
    }
  }

  private int positions() {
    return shared.model().info().maxPositions();
  }

  /** Returns what a session has come to with a prompt. */
  private int[] context(UUID session, int[] before, List<Integer> prompt) {
    int[] context =
        Stream.of(
                Arrays.stream(before),
                shared.tokenizer().begin().stream().mapToInt(Integer::intValue),
                prompt.stream().mapToInt(Integer::intValue))
            .flatMapToInt(part -> part)
            .toArray();
    if (context.length == 0 || context.length >= positions()) {
      throw new IllegalArgumentException(
          "session "
              + session
              + ": expected 1 to "
              + (positions() - 1)
              + " tokens with this prompt, found "
              + context.length);
    }
    return context;
  }

  private GenerationResult run(
      int[] context, float temperature, int ntokens, Transcript transcript) {
    GenerationRequest.Builder request =
        GenerationRequest.tokens(Arrays.stream(context).boxed().toList())
            .adapter(adapter)
            .sampling(
                Sampling.of(
                    temperature, seed.orElseGet(() -> ThreadLocalRandom.current().nextLong())));
    // the token that comes out of the prompt's own pass, and one for each place after it
    int most = 1 + Math.max(0, ntokens - context.length);
    Generation generation = shared.submit(request, context.length, most);
    // leaving the stream before its end cancels the generation
    try (Stream<GeneratedToken> tokens = generation.stream()) {
      tokens.forEach(
          token -> {
            if (ends(token.id())) {
              transcript.end(token);
            } else {
              transcript.add(token);
            }
          });
    }
    return generation.await();
  }

  /** Returns whether a token ends a generation; such a token is no part of a session. */
  private boolean ends(int token) {
    return shared.model().info().eosTokens().contains(token);
  }

  /**
   * Returns a vector of length 1 for a text, of as many numbers as the model is wide: its tokens
   * without BOS, read with this generator's adapters, their hidden states pooled as Jlama pools
   * them. The hidden states are those after the last norm, as transformers gives them; Jlama takes
   * those before it.
   *
   * @throws IllegalArgumentException for a text without tokens or longer than the model's longest
   *     sequence
   * @throws LorikeetException as {@link BaseModel#encode}, for one that is longer by far
   * @throws UnsupportedOperationException for {@code PoolingType.MODEL}
   */
  @Override
  public float[] embed(String input, PoolingType poolingType) {
    shared.checkOpen();
    Pooling pooling = new Pooling(poolingType, shared.model().info().shape().hidden());
    List<Integer> tokens = shared.tokenizer().encodePlain(input);
    if (tokens.isEmpty() || tokens.size() > positions()) {
      throw new IllegalArgumentException(
          "input: expected 1 to " + positions() + " tokens, found " + tokens.size());
    }
    CompletableFuture<Score> read =
        shared
            .model()
            .score(
                ScoreRequest.of(new Prompt.Tokens(tokens), adapter),
                RequestObserver.hidden(Set.of(HiddenPoint.FINAL), pooling));
    try {
      read.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof LorikeetException cause
          ? cause
          : new LorikeetException(Code.INTERNAL, "embedding: " + e.getCause(), e);
    } catch (InterruptedException e) {
      read.cancel(true);
      Thread.currentThread().interrupt();
      throw new LorikeetException(Code.CANCELLED, "interrupted while a text was read", e);
    }
    return pooling.vector();
  }

  /**
   * Returns Jlama's reading of {@code config.json}. For families that Jlama does not know it has
   * the sizes and tokens alone.
   */
  @Override
  public Config getConfig() {
    return shared.config();
  }

  /** Returns the tokenizer that the model uses, behind Jlama's interface. */
  @Override
  public Tokenizer getTokenizer() {
    return shared.tokenizer();
  }

  /** Returns Jlama's own support for chat templates, empty where the model has none. */
  @Override
  public Optional<PromptSupport> promptSupport() {
    return shared.tokenizer().promptSupport();
  }

  /**
   * Forgets all sessions, and closes the model if this object opened it: calls that run fail with
   * {@code CLOSED}. Does nothing for a view. Idempotent.
   */
  @Override
  public void close() {
    if (root) {
      shared.close();
    }
  }

  /** Opens a model with adapters and settings. */
  public static final class Builder {
    private final Lorikeet.Builder lorikeet;
    private final Map<String, Path> adapters = new LinkedHashMap<>();
    private AdapterChoice adapter = new AdapterChoice.None();
    private OptionalLong seed = OptionalLong.empty();
    private long sessionTokens = DEFAULT_SESSION_TOKENS;

    private Builder(Path modelDirectory) {
      this.lorikeet = Lorikeet.builder(modelDirectory);
    }

    /** Registers a PEFT adapter directory under a name, for {@link #adapter} or views. */
    public Builder register(String name, Path adapterDirectory) {
      adapters.put(name, adapterDirectory);
      return this;
    }

    /** Uses a registered adapter. */
    public Builder adapter(String name) {
      return adapter(new AdapterChoice.Named(name));
    }

    /** Uses any choice of adapters; none by default. */
    public Builder adapter(AdapterChoice choice) {
      adapter = choice;
      return this;
    }

    /**
     * Draws the tokens of every call from this seed, so that a call can be repeated. By default
     * each call has a seed of its own.
     */
    public Builder seed(long value) {
      seed = OptionalLong.of(value);
      return this;
    }

    /**
     * Sets how many tokens all sessions together keep, {@value #DEFAULT_SESSION_TOKENS} by default.
     * Beyond that the sessions used least recently are forgotten: they begin anew.
     */
    public Builder sessionTokens(long tokens) {
      if (tokens < 0) {
        throw new IllegalArgumentException("sessionTokens: expected at least 0, found " + tokens);
      }
      sessionTokens = tokens;
      return this;
    }

    /** Sets plugins, memory and options, as for {@link Lorikeet#builder}. */
    public Builder settings(Consumer<Lorikeet.Builder> settings) {
      settings.accept(lorikeet);
      return this;
    }

    /**
     * Opens everything, or nothing.
     *
     * @throws dev.lorikeet.LorikeetException as {@link Lorikeet.Builder#open} and {@link
     *     Lorikeet#register}
     */
    public LorikeetGenerator open() {
      Lorikeet opened = lorikeet.open();
      try {
        adapters.forEach(opened::register);
        return new LorikeetGenerator(
            new SharedModel(opened.model(), Optional.of(opened), sessionTokens),
            adapter,
            seed,
            true);
      } catch (RuntimeException | Error failure) {
        try {
          opened.close();
        } catch (RuntimeException e) {
          failure.addSuppressed(e);
        }
        throw failure;
      }
    }
  }
}
