package dev.lorikeet.conformance.executor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.GuardedMatrix;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * One call of {@code addGradients}: a {@link DeltaCase} whose y are the gradients of the outputs,
 * the sums that are added to, and the exact sums in double precision beside them. Made when the
 * case has all its adapters and its batch.
 */
final class GradientCase {
  private static final double ROUGHLY = 0x1p-8;
  private static final double SMALLEST = 1e-37;

  final DeltaCase c;
  final GuardedMatrix dx;
  final GuardedMatrix dw;

  /** The gradients, by adapter, then by its factors; empty for a factor outside the group. */
  final List<List<FactorSums>> factors = new ArrayList<>();

  private final Trial trial;
  private final Set<Integer> frozen = new HashSet<>();
  private boolean inputLearns = true;
  private boolean weightsLearn = true;
  private double slack = ROUGHLY;
  private List<Product> products = List.of();

  /**
   * The gradients of one adapter for one module of the group.
   *
   * @param module the number of the module in the group
   */
  record FactorSums(int module, Factors of, GuardedMatrix a, GuardedMatrix b) {
    List<GuardedMatrix> both() {
      return List.of(a, b);
    }
  }

  /** Draws what the sums hold before the call. */
  GradientCase(Trial trial, DeltaCase c, int padding) {
    this.trial = trial;
    this.c = c;
    c.remember();
    dx = matrix(c.x.rows(), c.in, padding);
    dw = matrix(c.batch.entries(), 1, padding);
    for (List<Factors> list : c.factors) {
      List<FactorSums> sums = new ArrayList<>();
      for (Factors f : list) {
        int module = c.group.targets().indexOf(f.target());
        if (module >= 0) {
          sums.add(
              new FactorSums(
                  module,
                  f,
                  matrix(f.rank(), f.in() / f.aBlocks(), padding),
                  matrix(f.out(), f.rank() / f.bBlocks(), padding)));
        }
      }
      factors.add(sums);
    }
    remember();
  }

  private GuardedMatrix matrix(int rows, int columns, int padding) {
    GuardedMatrix matrix =
        new GuardedMatrix(
            ElementType.F32,
            rows,
            columns,
            trial.between(0, padding),
            trial.between(0, Math.min(padding, 15)));
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < columns; i++) {
        matrix.set(r, i, DeltaCase.NORMAL.next(trial.random()));
      }
    }
    return matrix;
  }

  /** Makes an adapter frozen. */
  GradientCase freeze(int adapter) {
    frozen.add(adapter);
    return this;
  }

  GradientCase withoutInput() {
    inputLearns = false;
    return this;
  }

  GradientCase withoutWeights() {
    weightsLearn = false;
    return this;
  }

  /** Holds sums to the bound of T4 itself. */
  GradientCase exactly() {
    slack = 0;
    return this;
  }

  /** Returns everything that a call may add to. */
  List<GuardedMatrix> sums() {
    List<GuardedMatrix> all = new ArrayList<>(List.of(dx, dw));
    factors.forEach(list -> list.forEach(one -> all.addAll(one.both())));
    return all;
  }

  /** Sets all sums to zero, and remembers that. */
  GradientCase zero() {
    for (GuardedMatrix matrix : sums()) {
      for (int r = 0; r < matrix.rows(); r++) {
        for (int i = 0; i < matrix.columns(); i++) {
          matrix.set(r, i, 0f);
        }
      }
    }
    return remember();
  }

  /** Remembers inputs and sums as they are. */
  GradientCase remember() {
    c.remember();
    sums().forEach(GuardedMatrix::remember);
    products = List.of();
    return this;
  }

  GradientCase restore() {
    c.restore();
    sums().forEach(GuardedMatrix::restore);
    return this;
  }

  /** Makes the call. */
  GradientCase run(LoraGradients gradients) {
    return run(gradients, Optional.empty());
  }

  /** Makes the call with activations and sums in some place, and brings them back. */
  GradientCase run(LoraGradients gradients, Optional<TensorPlacement> placement) {
    try (Placed placed = new Placed(placement)) {
      List<List<FactorGradients.Sums>> sent = new ArrayList<>();
      for (int a = 0; a < factors.size(); a++) {
        List<FactorGradients.Sums> list = new ArrayList<>();
        for (FactorSums one : frozen.contains(a) ? List.<FactorSums>of() : factors.get(a)) {
          list.add(new FactorGradients.Sums(placed.tensor(one.a), placed.tensor(one.b)));
        }
        sent.add(list);
      }
      Tensor in = placed.tensor(c.x);
      List<Tensor> dy = c.y.stream().map(placed::tensor).toList();
      gradients.addGradients(c.group, c.batch, in, dy, sums(placed, of(sent)));
      placed.fetch();
    }
    return this;
  }

  private GradientSums sums(Placed placed, FactorGradients to) {
    GradientSums all = GradientSums.of(placed.tensor(dx), to);
    all = weightsLearn ? all.withWeights(placed.tensor(dw)) : all;
    return inputLearns ? all : all.withoutInput();
  }

  private FactorGradients of(List<List<FactorGradients.Sums>> sent) {
    return (lease, target) -> {
      int adapter = c.adapters.indexOf(lease);
      int module = c.group.targets().indexOf(target);
      for (int i = 0; i < sent.get(adapter).size(); i++) {
        if (factors.get(adapter).get(i).module == module) {
          return Optional.of(sent.get(adapter).get(i));
        }
      }
      return Optional.empty();
    };
  }

  /** Returns the sums as a call takes them from host memory. */
  GradientSums hostSums() {
    List<List<FactorGradients.Sums>> host = new ArrayList<>();
    for (List<FactorSums> list : factors) {
      host.add(
          list.stream()
              .map(one -> new FactorGradients.Sums(one.a.tensor(), one.b.tensor()))
              .toList());
    }
    return GradientSums.of(dx.tensor(), of(host)).withWeights(dw.tensor());
  }

  void runAndCheck(LoraGradients gradients) {
    run(gradients);
    check();
  }

  /** The exact sums of one matrix, and what may be missed of each. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
  private record Exact(GuardedMatrix of, String name, double[][] value, double[][] magnitude) {
    static Exact of(GuardedMatrix matrix, String name) {
      Exact exact =
          new Exact(
              matrix,
              name,
              new double[matrix.rows()][matrix.columns()],
              new double[matrix.rows()][matrix.columns()]);
      for (int r = 0; r < matrix.rows(); r++) {
        for (int i = 0; i < matrix.columns(); i++) {
          exact.add(r, i, matrix.remembered(r, i), 0);
          exact.magnitude[r][i] = Math.abs(exact.value[r][i]);
        }
      }
      return exact;
    }

    void add(int row, int column, double product, double size) {
      value[row][column] += product;
      magnitude[row][column] += size;
    }
  }

  /** Checks dx. */
  GradientCase checkInputs() {
    Exact exact = Exact.of(dx, "dx");
    int[] terms = new int[dx.rows()];
    forEachProduct(
        p -> {
          terms[p.token] =
              Math.max(terms[p.token], p.f.out() + p.f.rank() + c.batch.segments() * c.outs.length);
          for (int r = 0; r < p.f.rank(); r++) {
            for (int i = 0; i < p.f.a()[r].length; i++) {
              double factor = p.scale * p.f.a()[r][i];
              exact.add(
                  p.token, p.f.aStart(r) + i, factor * p.g[r], Math.abs(factor) * p.gMagnitude[r]);
            }
          }
        });
    check(exact, terms);
    return this;
  }

  /** Checks the gradients of the factors of all adapters that learn. */
  GradientCase checkFactors() {
    for (int a = 0; a < factors.size(); a++) {
      checkFactors(a);
    }
    return this;
  }

  /** Checks the gradients of an adapter's factors. */
  GradientCase checkFactors(int adapter) {
    for (FactorSums one : frozen.contains(adapter) ? List.<FactorSums>of() : factors.get(adapter)) {
      String name = "adapter " + adapter + ", module " + one.module + ", gradient of ";
      Exact a = Exact.of(one.a, name + "A");
      Exact b = Exact.of(one.b, name + "B");
      int[] entries = new int[1];
      forEachProduct(
          p -> {
            if (p.adapter == adapter && p.module == one.module) {
              entries[0]++;
              addFactors(p, a, b);
            }
          });
      check(a, filled(one.a.rows(), one.of.out() + entries[0]));
      check(b, filled(one.b.rows(), one.of.in() + entries[0]));
    }
    return this;
  }

  private void addFactors(Product p, Exact a, Exact b) {
    int ranks = p.f.rank() / p.f.bBlocks();
    for (int r = 0; r < p.f.rank(); r++) {
      for (int i = 0; i < p.f.a()[r].length; i++) {
        double factor = p.scale * c.x.remembered(p.token, p.f.aStart(r) + i);
        a.add(r, i, factor * p.g[r], Math.abs(factor) * p.gMagnitude[r]);
      }
      for (int o = 0; o < p.f.b()[r].length; o++) {
        int output = p.f.bStart(r) + o;
        double factor = p.scale * c.y.get(p.module).remembered(p.token, output);
        b.add(output, r % ranks, factor * p.h[r], Math.abs(factor) * p.hMagnitude[r]);
      }
    }
  }

  private static int[] filled(int length, int value) {
    int[] array = new int[length];
    Arrays.fill(array, value);
    return array;
  }

  /** Checks the gradients of the entries' weights. */
  GradientCase checkWeights() {
    Exact exact = Exact.of(dw, "dw");
    int[] terms = new int[dw.rows()];
    forEachProduct(
        p -> {
          terms[p.entry] =
              Math.max(terms[p.entry], p.f.in() + p.f.out() + p.f.rank() + c.outs.length);
          for (int r = 0; r < p.f.rank(); r++) {
            exact.add(
                p.entry,
                0,
                p.f.scaling() * p.g[r] * p.h[r],
                Math.abs(p.f.scaling()) * p.gMagnitude[r] * p.hMagnitude[r]);
          }
        });
    check(exact, terms);
    return this;
  }

  /** Checks all that was asked for against the exact sums, and that the rest stayed. */
  void check() {
    checkFactors();
    if (inputLearns) {
      checkInputs();
    }
    if (weightsLearn) {
      checkWeights();
    }
    checkUntouched();
  }

  /** Checks that rows, gradients and surroundings that nothing adds to kept their bits. */
  GradientCase checkUntouched() {
    sums().forEach(matrix -> matrix.expectSurroundingsUnchanged("sums"));
    Set<Integer> tokens = new HashSet<>();
    Set<Integer> entries = new HashSet<>();
    Set<List<Integer>> learning = new HashSet<>();
    forEachProduct(
        p -> {
          tokens.add(p.token);
          entries.add(p.entry);
          learning.add(List.of(p.adapter, p.module));
        });
    for (int t = 0; t < dx.rows(); t++) {
      if (!inputLearns || !tokens.contains(t)) {
        dx.expectRowUnchanged(t, "dx without a delta");
      }
    }
    for (int e = 0; e < dw.rows(); e++) {
      if (!weightsLearn || !entries.contains(e)) {
        dw.expectRowUnchanged(e, "dw without a delta");
      }
    }
    for (int a = 0; a < factors.size(); a++) {
      for (FactorSums one : factors.get(a)) {
        if (frozen.contains(a) || !learning.contains(List.of(a, one.module))) {
          one.a.expectUnchanged("gradient of A without entries");
          one.b.expectUnchanged("gradient of B without entries");
        }
      }
    }
    return this;
  }

  private void check(Exact exact, int[] terms) {
    double u = ElementCodec.unitRoundoff(ElementType.F32);
    for (int row = 0; row < exact.value.length; row++) {
      for (int i = 0; i < exact.value[row].length; i++) {
        double magnitude = exact.magnitude[row][i];
        double tolerance = (4.0 * (terms[row] + 4) * u + slack) * magnitude + SMALLEST;
        double expected = exact.value[row][i];
        double found = exact.of.get(row, i);
        double error = Math.abs(found - expected) / tolerance;
        boolean within = error <= 1;
        int r = row;
        int column = i;
        assertTrue(
            within,
            () ->
                String.format(
                    "%s row %d column %d: expected %s within %.3g, found %s (%.3g times the tolerance); %s",
                    exact.name, r, column, expected, tolerance, found, error, c));
        if (slack == 0) {
          trial.error(error);
        }
      }
    }
  }

  /** One entry's products with one module's factors. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
  record Product(
      int entry,
      int token,
      int adapter,
      int module,
      Factors f,
      double scale,
      double[] g,
      double[] gMagnitude,
      double[] h,
      double[] hMagnitude) {}

  private interface EachProduct {
    void take(Product product);
  }

  private void forEachProduct(EachProduct each) {
    if (products.isEmpty()) {
      List<Product> all = new ArrayList<>();
      for (int s = 0; s < c.batch.segments(); s++) {
        int adapter = c.adapters.indexOf(c.batch.adapter(s));
        for (int e = c.batch.segmentStart(s); e < c.batch.segmentEnd(s); e++) {
          for (FactorSums one : factors.get(adapter)) {
            all.add(product(e, c.batch.token(e), adapter, one.module, one.of));
          }
        }
      }
      products = all;
    }
    products.forEach(each::take);
  }

  private Product product(int entry, int token, int adapter, int module, Factors f) {
    double[] g = new double[f.rank()];
    double[] gMagnitude = new double[f.rank()];
    double[] h = new double[f.rank()];
    double[] hMagnitude = new double[f.rank()];
    for (int r = 0; r < f.rank(); r++) {
      for (int o = 0; o < f.b()[r].length; o++) {
        double product = (double) f.b()[r][o] * c.y.get(module).remembered(token, f.bStart(r) + o);
        g[r] += product;
        gMagnitude[r] += Math.abs(product);
      }
      for (int i = 0; i < f.a()[r].length; i++) {
        double product = (double) f.a()[r][i] * c.x.remembered(token, f.aStart(r) + i);
        h[r] += product;
        hMagnitude[r] += Math.abs(product);
      }
    }
    double scale = (double) c.batch.weight(entry) * f.scaling();
    return new Product(entry, token, adapter, module, f, scale, g, gMagnitude, h, hMagnitude);
  }

  /** Returns the bits of all sums. */
  List<byte[]> bits() {
    return sums().stream().map(GuardedMatrix::rowBytes).toList();
  }

  /** Returns the bits of the gradients of an adapter. */
  List<byte[]> bits(int adapter) {
    return factors.get(adapter).stream()
        .flatMap(one -> one.both().stream())
        .map(GuardedMatrix::rowBytes)
        .toList();
  }

  static void expectSameBits(List<byte[]> expected, List<byte[]> found, String what) {
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), found.get(i), "bits of sum " + i + ", " + what);
    }
  }
}
