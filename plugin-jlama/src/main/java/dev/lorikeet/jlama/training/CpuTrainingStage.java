package dev.lorikeet.jlama.training;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.parts.RowNorms;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.StageSpan;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** A stage of a model on the CPU: the decoder's weights and kernels, and their gradients. */
public final class CpuTrainingStage implements TrainingStage {
  /*
   * Idea. A layer forward is the decoder's, with keys and values in rows instead of pages: its weights are read once
   * for all tokens of a micro-batch. A pass keeps the residual stream between layers, 4 * hidden bytes for each token
   * and layer; the backward of a layer first computes the rest again, all but the down-projection, unless it was kept
   * (Retention), which takes about nine times as much memory for a Llama of 135 M.
   *
   * Cost for each token, in parameters of the layers P and of the output matrix V: forward 2 P + 4 V (2 V without
   * backward), backward 2 P and 1.5 P for what is computed again (nothing for kept layers). The gradients of frozen
   * weights are not computed, nor is anything below the lowest layer that learns, if the stage embeds.
   */
  private final ModelWeights model;
  private final StageSpan span;
  private final int maxTokens;
  private final ModelShape shape;
  private final int longest;
  private final StageWork work;
  private final WorkerTeam team;
  private final Turns turns;
  private final List<AdaptedLayer> layers = new ArrayList<>();
  private final Optional<TokenScores> scores;
  private final PassMemory memory;
  private final RowNorms norms = new RowNorms();
  private boolean closed;

  /**
   * What the host lends to a stage, and closes after it.
   *
   * @param team the worker threads; worker 0 is the thread that uses the stage
   * @param executor the LoRA executor, on the same team
   * @param turns with whatever else is computed over the weights; a layer of a micro-batch, forward
   *     or backward, is a piece, and so is a part of the vocabulary
   */
  public record Resources(WorkerTeam team, LoraExecutor executor, Turns turns) {}

  /**
   * Creates a stage.
   *
   * @param architecture of the model
   * @param model the weights; closed by the caller, after the stage
   * @param span which part of it
   * @param maxTokens the most tokens of a micro-batch
   * @throws IllegalArgumentException if the executor has no gradients, or the span more layers than
   *     the model
   */
  public CpuTrainingStage(
      Architecture architecture,
      ModelWeights model,
      StageSpan span,
      Resources lent,
      int maxTokens) {
    this.model = model;
    this.span = span;
    this.maxTokens = maxTokens;
    this.shape = architecture.shape();
    this.team = lent.team();
    this.turns = lent.turns();
    this.longest = Math.min(maxTokens, architecture.maxPositions());
    if (span.end() > shape.layers() || maxTokens < 1) {
      throw new IllegalArgumentException(
          "training stage: expected at least one token and at most "
              + shape.layers()
              + " layers, found "
              + maxTokens
              + " and "
              + span);
    }
    LoraGradients gradients =
        lent.executor()
            .gradients()
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "training stage: expected a LoRA executor with gradients, found "
                            + lent.executor().getClass().getName()));
    for (int layer = span.first(); layer < span.end(); layer++) {
      layers.add(
          new AdaptedLayer(layer, model.layers().get(layer), team, lent.executor(), gradients));
    }
    this.work = new StageWork(architecture, maxTokens, team.parallelism());
    this.scores =
        span.scores()
            ? Optional.of(new TokenScores(work, model, team, turns, maxTokens))
            : Optional.empty();
    this.memory = new PassMemory(team::quiesce);
  }

  @Override
  public StageSpan span() {
    return span;
  }

  @Override
  public int maxTokens() {
    return maxTokens;
  }

  @Override
  public Workers workers() {
    return team;
  }

  @Override
  public long workBytes() {
    return work.bytes + scores.map(TokenScores::bytes).orElse(0L);
  }

  @Override
  public long passBytes(int tokens, Retention retention) {
    return layout(retention).bytes(tokens);
  }

  private CpuPass.Layout layout(Retention retention) {
    return new CpuPass.Layout(shape, work.headNorms, span.layers(), retention);
  }

  @Override
  public long heldBytes() {
    return memory.bytes();
  }

  @Override
  public float[] rowNorms(TargetModule module) {
    int layer = module.layer() - span.first();
    if (layer < 0 || layer >= layers.size()) {
      throw new IllegalArgumentException(
          "training stage: expected a module of layers "
              + span.first()
              + " to "
              + (span.end() - 1)
              + ", found "
              + module);
    }
    WeightMatrix weight = layers.get(layer).weight(module.projection());
    float[] found = new float[weight.rows()];
    turns.run(
        () -> {
          double[] squares = norms.squares(module, weight);
          for (int row = 0; row < found.length; row++) {
            found[row] = (float) Math.sqrt(squares[row]);
          }
        });
    return found;
  }

  @Override
  public void embeddings(int[] ids, float[] rows) {
    if (!span.embeds()) {
      throw new IllegalArgumentException("training stage: expected one that embeds, found " + span);
    }
    for (int id : ids) {
      if (id < 0 || id >= shape.vocabulary()) {
        throw new IllegalArgumentException(
            "embeddings: expected ids of 0 to " + (shape.vocabulary() - 1) + ", found " + id);
      }
    }
    turns.run(
        () -> {
          for (int t = 0; t < ids.length; t++) {
            for (int i = 0; i < shape.hidden(); i++) {
              rows[t * shape.hidden() + i] = model.embedding().get(ids[t], i);
            }
          }
        });
  }

  @Override
  public TrainingPass forward(
      MicroBatch batch, LoraBatch adapters, Optional<Tensor> input, Retention retention) {
    checkOpen();
    check(batch, adapters);
    if (input.isPresent() == span.embeds()) {
      throw new IllegalArgumentException(
          "training stage: expected "
              + (span.embeds() ? "no hidden states, since it embeds" : "hidden states"));
    }
    input.ifPresent(hidden -> checkHidden("input", hidden, batch.tokens()));
    model.checkUnchanged();
    CpuPass.Layout layout = layout(retention);
    PassMemory.Piece piece = memory.take(layout.bytes(batch.tokens()));
    CpuPass pass = new CpuPass(this, batch, adapters, piece, layout);
    try {
      compute(pass, input);
      return pass;
    } catch (Throwable t) {
      pass.close();
      if (t instanceof InternalError) {
        model.checkUnchanged(); // a fault in mapped memory has a reason
      }
      throw t;
    }
  }

  private void check(MicroBatch batch, LoraBatch adapters) {
    if (batch.tokens() > maxTokens || batch.longest() > longest) {
      throw new IllegalArgumentException(
          "micro-batch: expected at most "
              + maxTokens
              + " tokens, in sequences of at most "
              + longest
              + ", found "
              + batch.tokens()
              + " and "
              + batch.longest());
    }
    if (adapters.tokens() != batch.tokens()) {
      throw new IllegalArgumentException(
          "adapters: expected a batch of "
              + batch.tokens()
              + " tokens, found "
              + adapters.tokens());
    }
    for (int t = 0; t < batch.tokens(); t++) {
      if (batch.token(t) >= shape.vocabulary() || batch.label(t) >= shape.vocabulary()) {
        throw new IllegalArgumentException(
            "micro-batch: expected ids below "
                + shape.vocabulary()
                + ", found id "
                + batch.token(t)
                + " and label "
                + batch.label(t)
                + " at token "
                + t);
      }
    }
  }

  private void checkHidden(String what, Tensor hidden, int tokens) {
    if (hidden.rows() < tokens
        || hidden.columns() != shape.hidden()
        || hidden.type() != ElementType.F32
        || !hidden.device().isHost()) {
      throw new IllegalArgumentException(
          "training stage: "
              + what
              + ": expected F32["
              + tokens
              + ", "
              + shape.hidden()
              + "] in host memory, found "
              + hidden);
    }
  }

  private void compute(CpuPass pass, Optional<Tensor> input) {
    Rows first = pass.stream(0);
    turns.run(
        () ->
            input.ifPresentOrElse(hidden -> copy(hidden, first), () -> embed(pass.batch(), first)));
    work.rope.cover(pass.batch().longest());
    for (int l = 0; l < layers.size(); l++) {
      AdaptedLayer layer = layers.get(l);
      LayerForward phases = phases(pass, l);
      turns.run(
          () -> {
            layer.addTo(pass.magnitudes(), pass.adapters(), norms, work);
            layer.forward(phases, pass.adapters(), pass.magnitudes());
          });
    }
    Rows last = pass.stream(layers.size());
    if (scores.isEmpty()) {
      pass.output(new StageOutput.Hidden(last.tensor()));
      return;
    }
    int[] tokens = pass.labelled();
    double[] found = scores.get().forward(last, tokens, labels(pass, tokens), pass.gradient());
    double[] values = new double[pass.batch().tokens()];
    for (int r = 0; r < tokens.length; r++) {
      values[tokens[r]] = found[r];
    }
    float[] states = scores.get().states(last, pass.batch().copyShown());
    pass.output(new StageOutput.LogProbabilities(values, states));
  }

  private LayerForward phases(CpuPass pass, int layer) {
    return new LayerForward(
        work,
        layers.get(layer).weights(),
        pass.batch(),
        pass.starts(),
        pass.stream(layer),
        pass.kept(layer).orElseGet(() -> work.activations.first(pass.batch().tokens())),
        pass.stream(layer + 1));
  }

  private void embed(MicroBatch batch, Rows to) {
    WeightMatrix table = model.embedding();
    for (int t = 0; t < batch.tokens(); t++) {
      for (int i = 0; i < shape.hidden(); i++) {
        to.set(t, i, table.get(batch.token(t), i));
      }
    }
  }

  private static void copy(Tensor from, Rows to) {
    for (int t = 0; t < to.rows(); t++) {
      MemorySegment.copy(
          from.segment(),
          t * from.rowStrideBytes(),
          to.segment(),
          t * to.stride(),
          (long) to.columns() * Float.BYTES);
    }
  }

  private static int[] labels(CpuPass pass, int[] tokens) {
    return Arrays.stream(tokens).map(pass.batch()::label).toArray();
  }

  @Override
  public Optional<Tensor> backward(
      TrainingPass open, OutputGradient gradient, LearnedGradients learned) {
    checkOpen();
    if (!(open instanceof CpuPass pass) || pass.stage() != this) {
      throw new IllegalArgumentException("training stage: expected a pass of its own");
    }
    check(pass, gradient);
    pass.goBack();
    model.checkUnchanged();
    try {
      return back(pass, gradient, learned);
    } catch (InternalError e) {
      model.checkUnchanged(); // a fault in mapped memory has a reason
      throw e;
    }
  }

  private void check(CpuPass pass, OutputGradient gradient) {
    int tokens = pass.batch().tokens();
    switch (gradient) {
      case OutputGradient.OfHidden(Tensor hidden) -> {
        if (span.scores()) {
          throw new IllegalArgumentException(
              "training stage: expected a gradient of log-probabilities, found one of hidden states");
        }
        checkHidden("gradient", hidden, tokens);
      }
      case OutputGradient.OfLogProbabilities(float[] coefficients, float[] states) -> {
        if (!span.scores() || coefficients.length != tokens) {
          throw new IllegalArgumentException(
              "training stage: expected "
                  + (span.scores() ? tokens + " coefficients" : "a gradient of hidden states")
                  + ", found "
                  + coefficients.length
                  + " coefficients");
        }
        int shown = pass.batch().shown();
        if (states.length != shown * shape.hidden()) {
          throw new IllegalArgumentException(
              "training stage: expected the gradients of "
                  + shown
                  + " states of "
                  + shape.hidden()
                  + ", found "
                  + states.length
                  + " numbers");
        }
      }
    }
  }

  private Optional<Tensor> back(CpuPass pass, OutputGradient gradient, LearnedGradients learned) {
    Rows d = pass.gradient().orElseThrow();
    switch (gradient) {
      case OutputGradient.OfHidden(Tensor hidden) -> copy(hidden, d);
      case OutputGradient.OfLogProbabilities(float[] coefficients, float[] states) ->
          backFromScores(pass, coefficients, states, d);
    }
    LoraBatch adapters = pass.adapters();
    int lowest = span.embeds() ? lowestChanged(adapters) : 0;
    for (int l = layers.size() - 1; l >= lowest; l--) {
      AdaptedLayer layer = layers.get(l);
      LayerForward phases = phases(pass, l);
      boolean isKept = pass.kept(l).isPresent();
      boolean wantsInput = !span.embeds() || l > lowest;
      turns.run(
          () ->
              layer.backward(phases, isKept, d, wantsInput, adapters, pass.magnitudes(), learned));
    }
    return span.embeds() ? Optional.empty() : Optional.of(d.tensor());
  }

  /** Returns the lowest layer that an adapter changes; all that is below it learns nothing. */
  private int lowestChanged(LoraBatch adapters) {
    return IntStream.range(0, layers.size())
        .filter(l -> layers.get(l).isChangedBy(adapters))
        .findFirst()
        .orElse(layers.size());
  }

  private void backFromScores(CpuPass pass, float[] coefficients, float[] states, Rows d) {
    int[] tokens = pass.labelled();
    float[] chosen = new float[tokens.length];
    for (int r = 0; r < tokens.length; r++) {
      chosen[r] = coefficients[tokens[r]];
    }
    Rows last = pass.stream(layers.size());
    scores.orElseThrow().backward(last, tokens, labels(pass, tokens), chosen, d);
    scores.orElseThrow().addStates(last, pass.batch().copyShown(), states, d);
  }

  void release(CpuPass pass) {
    if (!closed) {
      memory.give(pass.memory());
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("training stage: closed");
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    team.quiesce();
    memory.close();
    scores.ifPresent(TokenScores::close);
    work.close();
  }
}
