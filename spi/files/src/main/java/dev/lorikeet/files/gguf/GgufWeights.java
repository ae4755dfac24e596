package dev.lorikeet.files.gguf;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.gguf.GgufNames.Place;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.safetensors.StoredTensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The weights of a GGUF file by the names that the architecture has for them, mapped into memory as
 * one segment. Tensors keep the names of the file, for messages. Copied are only those of queries
 * and keys whose rows the file has in another order.
 */
public final class GgufWeights {
  /** What the configuration was made from, or what nothing reads. */
  private static final Pattern NO_WEIGHTS =
      Pattern.compile("(blk\\.\\d+\\.)?rope_freqs\\.weight|rope_factors_(long|short)\\.weight");

  private static final long ALIGNMENT = 64;

  private final GgufHeader header;
  private final Architecture architecture;
  private final Arena arena;
  private final MemorySegment file;
  private final Map<String, StoredTensor> found = new HashMap<>();
  private final Set<String> taken = new HashSet<>();

  private GgufWeights(
      GgufHeader header, Architecture architecture, Arena arena, MemorySegment file) {
    this.header = header;
    this.architecture = architecture;
    this.arena = arena;
    this.file = file;
  }

  /**
   * Maps the weights of a model.
   *
   * @param path a GGUF file
   * @param architecture what {@link GgufModel#config} says, read by its family
   * @param arena owns the mapping and what is copied
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} for files that are damaged or
   *     lack a tensor, {@code MODEL_UNSUPPORTED} for types that are not read
   */
  public static Map<String, StoredTensor> map(Path path, Architecture architecture, Arena arena) {
    try (FileChannel channel = UntrustedFile.open(Faults.MODEL, path)) {
      GgufHeader header = GgufHeader.read(Faults.MODEL, path, channel);
      MemorySegment bytes = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
      return new GgufWeights(header, architecture, arena, bytes).collect();
    } catch (IOException e) {
      throw Faults.MODEL.invalid(path, "a file that can be mapped", e, e);
    }
  }

  private Map<String, StoredTensor> collect() {
    boolean turned = GgufConfig.turnsNeighbours(GgufConfig.architecture(header));
    for (Place place : new GgufNames(architecture).places()) {
      GgufHeader.Tensor tensor = tensor(place.stored());
      found.put(
          place.name(),
          turned && place.rotatedHeads() > 0
              ? halves(tensor, place.rotatedHeads())
              : stored(tensor));
    }
    architecture.experts().ifPresent(this::collectExperts);
    for (GgufHeader.Tensor tensor : header.tensors().values()) {
      if (!taken.contains(tensor.name()) && !NO_WEIGHTS.matcher(tensor.name()).matches()) {
        found.put(tensor.name(), stored(tensor)); // whoever asks for none of it says so
      }
    }
    return Map.copyOf(found);
  }

  private GgufHeader.Tensor tensor(String name) {
    GgufHeader.Tensor tensor = header.tensors().get(name);
    if (tensor == null) {
      throw Faults.MODEL.invalid(header.file(), "a tensor " + name, "nothing");
    }
    taken.add(name);
    return tensor;
  }

  private MemorySegment bytes(GgufHeader.Tensor tensor) {
    return file.asSlice(tensor.begin(), tensor.bytes());
  }

  private StoredTensor stored(GgufHeader.Tensor tensor) {
    return new StoredTensor(
        tensor.name(), header.file(), tensor.type(), tensor.shape(), bytes(tensor));
  }

  /**
   * Returns a copy whose rows are in Hugging Face's order: of a head first those that begin a pair,
   * then those that end one, which the file has one after the other.
   */
  private StoredTensor halves(GgufHeader.Tensor tensor, int heads) {
    long rows = tensor.shape().getFirst();
    if (rows % (2L * heads) != 0) {
      throw Faults.MODEL.invalid(
          header.where(tensor.name()) + ": dimensions",
          "rows for each of " + heads + " heads, an even number",
          tensor.shape());
    }
    MemorySegment from = bytes(tensor);
    MemorySegment to = arena.allocate(tensor.bytes(), ALIGNMENT);
    long rowBytes = tensor.bytes() / rows;
    long ofHead = rows / heads;
    for (long row = 0; row < rows; row++) {
      long source = GgufNames.storedRow(row, ofHead);
      MemorySegment.copy(from, source * rowBytes, to, row * rowBytes, rowBytes);
    }
    return new StoredTensor(tensor.name(), header.file(), tensor.type(), tensor.shape(), to);
  }

  /** Experts of a layer are one tensor for each projection, or, in old files, one each. */
  private void collectExperts(Experts experts) {
    for (int layer = 0; layer < architecture.shape().layers(); layer++) {
      String prefix = architecture.names().layer(layer) + experts.prefix();
      for (var module : experts.modules().entrySet()) {
        String part = GgufNames.projection(module.getKey());
        String all = "blk." + layer + "." + part + "_exps.weight";
        for (int e = 0; e < experts.count(); e++) {
          String name = prefix + e + "." + module.getValue() + ".weight";
          found.put(
              name,
              header.tensors().containsKey(all)
                  ? slice(tensor(all), e, experts.count())
                  : stored(tensor("blk." + layer + "." + part + "." + e + ".weight")));
        }
      }
    }
  }

  private StoredTensor slice(GgufHeader.Tensor tensor, int expert, int experts) {
    List<Long> shape = tensor.shape();
    if (shape.size() != 3 || shape.getFirst() != experts) {
      throw Faults.MODEL.invalid(
          header.where(tensor.name()) + ": dimensions",
          "three, the first of them " + experts + " experts",
          shape);
    }
    long each = tensor.bytes() / experts;
    return new StoredTensor(
        tensor.name(),
        header.file(),
        tensor.type(),
        shape.subList(1, 3),
        bytes(tensor).asSlice(expert * each, each));
  }
}
