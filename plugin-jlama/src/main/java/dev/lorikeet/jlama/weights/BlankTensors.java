package dev.lorikeet.jlama.weights;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.TensorNames;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Tensors of zeros for every name that a configuration calls for. */
final class BlankTensors {
  private final StoredType matrices;
  private final Arena arena;
  private final Map<String, StoredTensor> tensors = new HashMap<>();

  BlankTensors(StoredType matrices, Arena arena) {
    this.matrices = matrices;
    this.arena = arena;
  }

  Map<String, StoredTensor> of(Architecture config) {
    TensorNames names = config.names();
    ModelShape shape = config.shape();
    matrix(names.embedding(), shape.vocabulary(), shape.hidden());
    if (!config.tiedEmbeddings()) {
      matrix(names.output(), shape.vocabulary(), shape.hidden());
    }
    vector(names.finalNorm(), shape.hidden());
    for (int layer = 0; layer < shape.layers(); layer++) {
      String prefix = names.layer(layer);
      vector(prefix + names.inputNorm(), shape.hidden());
      vector(prefix + names.postAttentionNorm(), shape.hidden());
      if (config.headNorms()) {
        vector(prefix + names.queryNorm(), shape.headDim());
        vector(prefix + names.keyNorm(), shape.headDim());
      }
      for (Projection projection : Projection.ofLayer()) {
        String name = prefix + names.projection(projection);
        matrix(name + ".weight", shape.outFeatures(projection), shape.inFeatures(projection));
        if (config.biased().contains(projection)) {
          vector(name + ".bias", shape.outFeatures(projection));
        }
      }
    }
    return tensors;
  }

  private void matrix(String name, long rows, long columns) {
    put(name, matrices, List.of(rows, columns));
    if (matrices == StoredType.Q4) {
      put(name + ".qb", StoredType.F32, List.of(rows, columns / WeightMatrix.Q4_BLOCK));
    }
  }

  private void vector(String name, long length) {
    put(name, StoredType.F32, List.of(length));
  }

  private void put(String name, StoredType type, List<Long> shape) {
    long elements = shape.stream().reduce(1L, Math::multiplyExact);
    tensors.put(
        name,
        new StoredTensor(
            name,
            Path.of("blank"),
            type,
            shape,
            arena.allocate(elements * type.bits() / Byte.SIZE, 64)));
  }
}
