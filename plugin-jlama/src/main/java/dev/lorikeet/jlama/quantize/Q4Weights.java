package dev.lorikeet.jlama.quantize;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.TensorInfo;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.Q4ByteBufferTensor;
import dev.lorikeet.files.WholeFile;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/**
 * The weights of a quantized model, byte for byte as Jlama's command line writes them. Its own
 * method is passed by: it keeps a copy of all weights in the folder of temporary files until the
 * process ends, for ever if that is killed, and takes a disk that is full for a tensor's end.
 */
@SuppressWarnings("rawtypes") // as the methods of Jlama have it
final class Q4Weights {
  /** As Jlama's command line: tensors whose names hold this stay as they are. */
  private static final String NOT_QUANTIZED = "norm";

  private static final int CHUNK_BYTES = 1 << 20;

  private final FileChannel data;
  private final ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
  private final Map<String, TensorInfo> tensors = new HashMap<>(); // whose order is Jlama's

  private Q4Weights(FileChannel data) {
    this.data = data;
  }

  /**
   * Quantizes the weights of a model.
   *
   * @param model the directory of a model that has been checked
   * @param scratch a file to work with, as large as the result; must not exist
   * @param file the result; must not exist
   */
  static void write(Path model, Path scratch, Path file) throws IOException {
    try (FileChannel data =
        FileChannel.open(
            scratch,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE)) {
      Q4Weights weights = new Q4Weights(data);
      try (WeightLoader source = SafeTensorSupport.loadWeights(model.toFile())) {
        for (String name : source.tensorInfoMap().keySet()) {
          weights.add(name, source);
        }
      } catch (IOException | RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IOException(model + ": closing its weights", e);
      }
      WholeFile.writeNew(file, weights::writeTo);
    }
  }

  private void add(String name, WeightLoader source) throws IOException {
    try (AbstractTensor tensor = source.load(name)) {
      AbstractTensor stored = name.contains(NOT_QUANTIZED) ? tensor : tensor.quantize(DType.Q4);
      tensors.put(name, append(stored));
      if (stored instanceof Q4ByteBufferTensor q4) {
        tensors.put(name + ".qb", append(q4.getBlockF()));
      }
    }
  }

  private TensorInfo append(AbstractTensor tensor) throws IOException {
    long begin = data.position();
    MemorySegment elements = tensor.getMemorySegment();
    for (long at = 0; at < elements.byteSize(); at += chunk.limit()) {
      chunk.clear().limit((int) Math.min(CHUNK_BYTES, elements.byteSize() - at));
      MemorySegment.copy(elements, at, MemorySegment.ofBuffer(chunk), 0, chunk.limit());
      while (chunk.hasRemaining()) {
        data.write(chunk);
      }
    }
    long[] shape = new long[tensor.shape().dims()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = tensor.shape().dim(i);
    }
    return new TensorInfo(tensor.dType(), shape, new long[] {begin, data.position()});
  }

  private void writeTo(FileChannel channel) throws IOException {
    byte[] header = new ObjectMapper().writeValueAsBytes(tensors);
    WholeFile.fill(
        channel,
        ByteBuffer.allocate(Long.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(header.length)
            .array());
    WholeFile.fill(channel, header);
    for (long at = 0; at < data.size(); ) {
      at += data.transferTo(at, data.size() - at, channel);
    }
  }
}
