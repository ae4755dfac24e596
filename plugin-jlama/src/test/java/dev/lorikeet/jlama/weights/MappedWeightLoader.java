package dev.lorikeet.jlama.weights;

import com.github.tjake.jlama.model.DistributedContext;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.TensorInfo;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.safetensors.Weights;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.BFloat16BufferTensor;
import com.github.tjake.jlama.tensor.Float16BufferTensor;
import com.github.tjake.jlama.tensor.FloatBufferTensor;
import com.github.tjake.jlama.tensor.Q4ByteBufferTensor;
import com.github.tjake.jlama.tensor.TensorShape;
import dev.lorikeet.files.safetensors.StoredTensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * Checked mappings as Jlama's model classes take them. The whole model is in one process: Jlama's
 * splitting over machines is not supported.
 */
final class MappedWeightLoader implements WeightLoader {
  private final Map<String, StoredTensor> stored;
  private final Map<String, TensorInfo> infos = new HashMap<>();

  MappedWeightLoader(Map<String, StoredTensor> stored) {
    this.stored = stored;
    stored.forEach((name, tensor) -> infos.put(name, info(tensor)));
  }

  @Override
  public Map<String, String> metadata() {
    return Map.of();
  }

  @Override
  public Map<String, TensorInfo> tensorInfoMap() {
    return infos;
  }

  @Override
  public AbstractTensor<?, ?> load(
      String name,
      @Nullable DistributedContext context,
      boolean sparseRows,
      boolean sparseColumns) {
    StoredTensor tensor = stored.get(name);
    if (tensor == null) {
      throw new NoSuchElementException(name);
    }
    if (context != null && context.hasModelShard()) {
      throw new UnsupportedOperationException(name + ": loading a part of a tensor");
    }
    TensorShape shape = TensorShape.of(info(tensor).shape);
    ByteBuffer bytes = tensor.bytes().asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    return switch (tensor.type()) {
      case F32 -> new FloatBufferTensor(name, bytes.asFloatBuffer(), shape, true);
      case F16 -> new Float16BufferTensor(name, bytes.asShortBuffer(), shape, true);
      case BF16 -> new BFloat16BufferTensor(name, bytes.asShortBuffer(), shape, true);
      case Q4 -> {
        var scales = (FloatBufferTensor) load(name + ".qb", context, sparseRows, false);
        yield new Q4ByteBufferTensor(name, bytes, scales, shape, true);
      }
      default -> throw new IllegalArgumentException(tensor.where() + ": " + tensor.form());
    };
  }

  private static TensorInfo info(StoredTensor tensor) {
    long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
    long[] offsets = {0, tensor.bytes().byteSize()};
    return new TensorInfo(DType.valueOf(tensor.type().name()), shape, offsets);
  }

  @Override
  public DType getModelDType() {
    return Weights.findDType(infos);
  }

  @Override
  public void close() {}
}
