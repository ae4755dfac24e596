package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Draw;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Sizes;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.random.RandomGenerator;

/**
 * One call of {@code addDelta}: a target group, inputs, outputs, adapters and a batch, with the
 * exact result in double precision beside it.
 *
 * <p>The products of F32 numbers are exact in double precision, and its sums err by 2^-53 a step:
 * nothing beside the 2^-24 that is tolerated.
 */
final class DeltaCase {
  /**
   * What is tolerated beyond X2, relative to the magnitude, by rules that are not about rounding:
   * so that each fault is found by the rule that it breaks.
   */
  private static final double ROUGHLY = 0x1p-8;

  /** Numbers of the size that activations and weights have. */
  static final Draw NORMAL = random -> (float) random.nextGaussian();

  final ElementType type;
  final TargetGroup group;
  final int tokens;
  final int in;
  final int[] outs;
  final GuardedMatrix x;
  final List<GuardedMatrix> y = new ArrayList<>();
  final List<MemoryAdapter> adapters = new ArrayList<>();
  final List<List<Factors>> factors = new ArrayList<>();
  LoraBatch batch = new LoraBatch();

  /** The beginning of the adapters' names; no two cases share one unless a test wants it. */
  String names = "adapter-" + CASES.incrementAndGet() + "-";

  private static final AtomicLong CASES = new AtomicLong();

  private double slack = ROUGHLY;
  private final Trial trial;
  private final RandomGenerator random;

  /**
   * Draws inputs and outputs.
   *
   * @param padding how many elements rows may be apart, and how many rows there may be beyond the
   *     tokens
   */
  DeltaCase(Trial trial, TargetGroup group, int tokens, int in, int[] outs, int padding) {
    this(trial, group, tokens, in, outs, padding, ElementType.F32);
  }

  /** Draws inputs and outputs of an element type, likewise. */
  DeltaCase(
      Trial trial,
      TargetGroup group,
      int tokens,
      int in,
      int[] outs,
      int padding,
      ElementType type) {
    this.type = type;
    this.trial = trial;
    this.random = trial.random();
    this.group = group;
    this.tokens = tokens;
    this.in = in;
    this.outs = outs.clone();
    x = matrix(in, padding);
    for (int out : outs) {
      y.add(matrix(out, padding));
    }
    remember();
    batch.reset(tokens);
  }

  private GuardedMatrix matrix(int columns, int padding) {
    int rows = tokens + trial.between(0, Math.min(padding, 3));
    GuardedMatrix matrix =
        new GuardedMatrix(
            type,
            rows,
            columns,
            trial.between(0, padding),
            trial.between(0, Math.min(padding, 15)));
    for (int t = 0; t < rows; t++) {
      for (int i = 0; i < columns; i++) {
        matrix.set(t, i, NORMAL.next(random));
      }
    }
    return matrix;
  }

  /** Adds an adapter with weights for every module of the group, and returns its number. */
  int adapter(int rank, ElementType type) {
    List<Factors> list = new ArrayList<>();
    for (int m = 0; m < outs.length; m++) {
      list.add(
          Factors.random(
              Sizes.dense(group.targets().get(m), rank, in, outs[m]),
              (float) random.nextDouble(0.1, 4),
              type,
              NORMAL,
              random));
    }
    return adapter(type, list);
  }

  /** Adds an adapter with these weights, and returns its number. */
  int adapter(ElementType type, List<Factors> list) {
    int number = adapters.size();
    factors.add(list);
    adapters.add(MemoryAdapter.of(names + number, type, list, random));
    return number;
  }

  /** Begins a segment of an adapter. */
  DeltaCase segment(int adapter) {
    batch.beginSegment(adapters.get(adapter));
    return this;
  }

  /** Adds an adapter's segment that holds all tokens with one weight. */
  DeltaCase all(int adapter, float weight) {
    segment(adapter);
    for (int t = 0; t < tokens; t++) {
      batch.add(t, weight);
    }
    return this;
  }

  /** Adds random segments: repeated adapters, empty ones, tokens in none, one or several. */
  DeltaCase randomSegments(int segments) {
    for (int s = 0; s < segments; s++) {
      segment(random.nextInt(adapters.size()));
      double share = random.nextInt(4) == 0 ? 0 : random.nextDouble();
      for (int t = 0; t < tokens; t++) {
        if (random.nextDouble() < share) {
          batch.add(t, (float) random.nextGaussian());
        }
      }
    }
    return this;
  }

  /** Adds segments that give each token one adapter or none. */
  DeltaCase disjointSegments() {
    int[] chosen = new int[tokens];
    for (int t = 0; t < tokens; t++) {
      chosen[t] = trial.between(-1, adapters.size() - 1);
    }
    for (int a = 0; a < adapters.size(); a++) {
      segment(a);
      for (int t = 0; t < tokens; t++) {
        if (chosen[t] == a) {
          batch.add(t, (float) random.nextGaussian());
        }
      }
    }
    return this;
  }

  /** Remembers the inputs and outputs as they are. */
  DeltaCase remember() {
    x.remember();
    y.forEach(GuardedMatrix::remember);
    return this;
  }

  /** Brings inputs and outputs back to what was remembered. */
  DeltaCase restore() {
    x.restore();
    y.forEach(GuardedMatrix::restore);
    return this;
  }

  List<Tensor> outputs() {
    return y.stream().map(GuardedMatrix::tensor).toList();
  }

  /** Makes the call. */
  DeltaCase run(LoraExecutor executor) {
    executor.addDelta(group, batch, x.tensor(), outputs());
    return this;
  }

  /** Makes the call with inputs and outputs in some place, and brings them back. */
  DeltaCase run(LoraExecutor executor, Optional<TensorPlacement> placement) {
    try (Placed placed = new Placed(placement)) {
      Tensor in = placed.tensor(x);
      executor.addDelta(group, batch, in, y.stream().map(placed::tensor).toList());
      placed.fetch();
    }
    return this;
  }

  /** Holds outputs to the bound of X2 itself. */
  DeltaCase exactly() {
    slack = 0;
    return this;
  }

  /** Makes the call and checks the outputs. */
  void runAndCheck(LoraExecutor executor) {
    run(executor);
    checkOutputs();
  }

  /** Checks that rows without a delta, and all between rows, have the bits that they had. */
  void checkUntouched() {
    for (int m = 0; m < y.size(); m++) {
      y.get(m).expectSurroundingsUnchanged("y[" + m + "]");
      for (int t = 0; t < y.get(m).rows(); t++) {
        if (t >= tokens || entries(m, t).isEmpty()) {
          y.get(m).expectRowUnchanged(t, "y[" + m + "] without a delta");
        }
      }
    }
  }

  /** Checks outputs against the exact ones. */
  void checkOutputs() {
    for (int m = 0; m < y.size(); m++) {
      for (int t = 0; t < tokens; t++) {
        checkRow(m, t);
      }
    }
  }

  /** Checks one row of one output against the exact one. */
  void checkRow(int module, int token) {
    Row row = exact(module, token);
    for (int o = 0; o < outs[module]; o++) {
      double found = y.get(module).get(token, o);
      double tolerance = row.tolerance[o] + slack * row.magnitude[o];
      double error = Math.abs(found - row.value[o]) / tolerance;
      boolean within = error <= 1;
      int output = o;
      assertTrue(
          within,
          () ->
              String.format(
                  "y[%d] row %d column %d: expected %s within %.3g, found %s (%.3g times the tolerance); %s",
                  module, token, output, row.value[output], tolerance, found, error, this));
      if (slack == 0) {
        trial.error(error);
      }
    }
  }

  /** The entries of a token whose adapter has weights for a module. */
  record Entry(Factors factors, float weight) {}

  List<Entry> entries(int module, int token) {
    List<Entry> entries = new ArrayList<>();
    for (int s = 0; s < batch.segments(); s++) {
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        if (batch.token(e) == token) {
          int adapter = adapters.indexOf(batch.adapter(s));
          for (Factors f : factors.get(adapter)) {
            if (f.target().equals(group.targets().get(module))) {
              entries.add(new Entry(f, batch.weight(e)));
            }
          }
        }
      }
    }
    return entries;
  }

  /** An exact row, and what may be missed of it. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
  record Row(double[] value, double[] magnitude, double[] tolerance) {}

  /** Returns an exact output row: rule X1, with the tolerance of X2. */
  Row exact(int module, int token) {
    int out = outs[module];
    double[] value = new double[out];
    double[] magnitude = new double[out];
    double[] underflow = new double[out];
    for (int o = 0; o < out; o++) {
      value[o] = y.get(module).remembered(token, o);
      magnitude[o] = Math.abs(value[o]);
    }
    List<Entry> entries = entries(module, token);
    int rank = 0;
    for (Entry entry : entries) {
      Factors f = entry.factors;
      rank = Math.max(rank, f.rank());
      double factor = (double) entry.weight * f.scaling();
      for (int r = 0; r < f.rank(); r++) {
        double h = 0;
        double hMagnitude = 0;
        for (int i = 0; i < f.a()[r].length; i++) {
          double product = (double) f.a()[r][i] * x.remembered(token, f.aStart(r) + i);
          h += product;
          hMagnitude += Math.abs(product);
        }
        for (int o = 0; o < f.b()[r].length; o++) {
          double b = f.b()[r][o] * factor;
          value[f.bStart(r) + o] += b * h;
          magnitude[f.bStart(r) + o] += Math.abs(b) * hMagnitude;
          underflow[f.bStart(r) + o] += Math.abs(b) + Math.abs(factor) + 1;
        }
      }
    }
    double steps = 4.0 * (in + rank + entries.size() + 4);
    double u = ElementCodec.unitRoundoff(ElementType.F32);
    double rounding = type == ElementType.F32 ? 0 : 2 * ElementCodec.unitRoundoff(type);
    double[] tolerance = new double[out];
    for (int o = 0; o < out; o++) {
      tolerance[o] =
          steps * u * magnitude[o]
              + rounding * Math.abs(value[o])
              + steps * ElementCodec.underflow(ElementType.F32) * (1 + underflow[o])
              + ElementCodec.underflow(type);
    }
    return new Row(value, magnitude, tolerance);
  }

  @Override
  public String toString() {
    return String.format(
        "%s activations of %d tokens, %d inputs, outputs %s, ranks %s, types %s, %d segments with %d entries",
        type,
        tokens,
        in,
        Arrays.toString(outs),
        adapters.stream().map(a -> a.spec().maxRank()).toList(),
        adapters.stream().map(a -> a.spec().targets().getFirst().type()).toList(),
        batch.segments(),
        batch.entries());
  }
}
