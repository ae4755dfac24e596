package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/**
 * What is known, without its values, of something that an adapter changes in a module beside the
 * product of its factors: a vector over the output features, or rows of the module's matrix.
 *
 * <p>With {@code z = W x + b} the output of the module, {@code d} the adapter's product {@code
 * scaling * B (A x)}, and {@code m} its magnitude if it has one (see {@link LoraWeights}), a module
 * whose adapter has parts gives
 *
 * <pre>
 *   SCALE   scale * z + d
 *   BIAS    W x + bias + d
 *   SHIFT   z + d + scaling * shift
 *   ROWS    W' x + b + d, with the given rows of W' in place of those of W
 * </pre>
 *
 * @param target the module
 * @param kind what it is
 * @param rows how many rows: 1 of a vector
 * @param columns how many elements a row has: the output features of a vector; of {@code ROWS} the
 *     width of the residual stream
 * @param type the element type: F32 of vectors
 * @param indices of {@code ROWS} the token ids whose rows these are, each once; empty if the rows
 *     are all of the matrix's, from the first
 */
public record PartSpec(
    TargetModule target,
    Kind kind,
    int rows,
    int columns,
    ElementType type,
    List<Integer> indices) {
  /** What a part is. */
  public enum Kind {
    /** What the output is multiplied by (IA3, arXiv 2205.05638). */
    SCALE,
    /** A bias in place of the module's own (PEFT's {@code bias}; BitFit, arXiv 2106.10199). */
    BIAS,
    /** A bias of the factor B, which is scaled as its product is (PEFT's {@code lora_bias}). */
    SHIFT,
    /**
     * Rows of the embeddings or of the output layer in place of the module's own (PEFT's {@code
     * modules_to_save} and {@code trainable_token_indices}).
     */
    ROWS
  }

  public PartSpec {
    indices = List.copyOf(indices);
    if (rows < 1 || columns < 1 || (kind != Kind.ROWS && rows != 1)) {
      throw new IllegalArgumentException(
          target
              + ": expected a part of at least one row and column, one row of a vector, found "
              + kind
              + " ["
              + rows
              + ", "
              + columns
              + "]");
    }
    if (kind == Kind.ROWS ? target.projection().isOfLayer() : !target.projection().isOfLayer()) {
      throw new IllegalArgumentException(
          target
              + ": expected rows of embeddings or output, vectors of other modules, found "
              + kind);
    }
    if (!indices.isEmpty()
        && (indices.size() != rows
            || Set.copyOf(indices).size() != rows
            || Collections.min(indices) < 0)) {
      throw new IllegalArgumentException(
          target + ": expected an index for each of " + rows + " rows, found others");
    }
  }

  /** Returns the description of a vector over the output features of a module, in F32. */
  public static PartSpec vector(TargetModule target, Kind kind, int columns) {
    return new PartSpec(target, kind, 1, columns, ElementType.F32, List.of());
  }

  /** Returns how many bytes a row takes. */
  public int rowBytes() {
    return Math.multiplyExact(columns, type.bytes());
  }

  /** Returns how many bytes all rows take. */
  public long bytes() {
    return (long) rows * rowBytes();
  }
}
