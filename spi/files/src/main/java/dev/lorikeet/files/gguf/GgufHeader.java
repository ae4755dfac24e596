package dev.lorikeet.files.gguf;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a GGUF file, checked against the file's size.
 *
 * @param file the file, for messages
 * @param metadata what the file says of itself
 * @param tensors its tensors by name, in the order of the header
 */
public record GgufHeader(Path file, GgufMetadata metadata, Map<String, Tensor> tensors) {
  /*
   * A GGUF file is a magic word, a version, the numbers of tensors and of metadata, the metadata (key, type, value),
   * descriptions of tensors (name, dimensions, type, offset), and from the next multiple of the alignment on the data.
   * All is little-endian; the first dimension is the one whose elements are neighbours, so shapes are reversed here.
   *
   * The file is untrusted. The header is read through a buffer, never mapped; each number is checked before it is
   * used, so that nothing is allocated for what the file cannot hold. Tensors must lie within the file, at multiples of
   * the alignment, and must not overlap; gaps are allowed.
   *
   * Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
   */
  private static final int MAGIC = 0x46554747;
  private static final int OLDEST = 2;
  private static final int NEWEST = 3;
  private static final long MAX_TENSORS = 65_536;
  private static final long MAX_ENTRIES = 65_536;
  private static final int MAX_NAME = 256;
  private static final int MAX_DIMENSIONS = 4;
  private static final int MAX_ALIGNMENT = 1 << 20;
  private static final int DEFAULT_ALIGNMENT = 32;
  private static final String ALIGNMENT = "general.alignment";

  /**
   * One tensor.
   *
   * @param name its name
   * @param type the type of its elements
   * @param shape the dimensions, slowest first
   * @param begin where the data begins in the file
   * @param bytes how many bytes it takes
   */
  public record Tensor(String name, StoredType type, List<Long> shape, long begin, long bytes) {
    public Tensor {
      shape = List.copyOf(shape);
    }
  }

  /** A description whose offset has not been checked yet. */
  private record Described(String name, StoredType type, List<Long> shape, long offset) {}

  /** Reads the header of a model's file. */
  public static GgufHeader read(Faults faults, Path file) {
    try (FileChannel channel = UntrustedFile.open(faults, file)) {
      return read(faults, file, channel);
    } catch (IOException e) {
      throw faults.invalid(file, "a readable file", e, e);
    }
  }

  /**
   * Reads the header of an open file.
   *
   * @param faults whose file it is, which decides the codes of errors
   */
  public static GgufHeader read(Faults faults, Path file, FileChannel channel) throws IOException {
    GgufInput input = new GgufInput(faults, file, channel);
    int magic = input.number("magic word");
    if (magic != MAGIC) {
      throw faults.invalid(
          file, "a GGUF file, which begins with GGUF", String.format("the bytes %08x", magic));
    }
    int version = input.number("version");
    if (version < OLDEST || version > NEWEST) {
      boolean swapped = Integer.reverseBytes(version) <= NEWEST && version != 1 && version != 0;
      throw faults.unsupported(
          file + ": version",
          "GGUF 2 or 3, little-endian",
          swapped ? "a big-endian file" : Integer.toUnsignedString(version));
    }
    long tensors = input.count("number of tensors", MAX_TENSORS);
    long entries = input.count("number of metadata entries", MAX_ENTRIES);
    GgufMetadata metadata = GgufMetadata.read(faults, file, input, entries);
    int alignment = alignment(faults, metadata);
    List<Described> described = new ArrayList<>();
    for (long t = 0; t < tensors; t++) {
      described.add(tensor(faults, file, input));
    }
    long start = Math.ceilDiv(input.position(), (long) alignment) * alignment;
    return new GgufHeader(
        file, metadata, placed(faults, file, described, alignment, start, channel.size()));
  }

  private static int alignment(Faults faults, GgufMetadata metadata) {
    int alignment = metadata.integer(ALIGNMENT, 1, MAX_ALIGNMENT).orElse(DEFAULT_ALIGNMENT);
    if (Integer.bitCount(alignment) != 1 || alignment < 8) {
      throw faults.invalid(metadata.where(ALIGNMENT), "a power of two from 8 on", alignment);
    }
    return alignment;
  }

  private static Described tensor(Faults faults, Path file, GgufInput input) throws IOException {
    String name = input.text("name of a tensor", MAX_NAME);
    String where = where(file, name);
    int dimensions = input.number(where + ": number of dimensions");
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      throw faults.invalid(
          where + ": number of dimensions",
          "from 1 to " + MAX_DIMENSIONS,
          Integer.toUnsignedString(dimensions));
    }
    List<Long> shape = new ArrayList<>();
    for (int d = 0; d < dimensions; d++) {
      shape.addFirst(input.count(where + ": dimension", Long.MAX_VALUE));
    }
    int type = input.number(where + ": type");
    StoredType stored =
        GgmlTypes.of(type)
            .orElseThrow(
                () ->
                    faults.unsupported(
                        where + ": type",
                        "one of "
                            + String.join(", ", GgmlTypes.names())
                            + ", such as files named Q8_0, Q4_0, Q4_K_M or Q5_K_M have them",
                        GgmlTypes.name(type)));
    long offset = input.count(where + ": offset", Long.MAX_VALUE);
    return new Described(name, stored, shape, offset);
  }

  private static Map<String, Tensor> placed(
      Faults faults, Path file, List<Described> described, int alignment, long start, long size) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (Described tensor : described) {
      String where = where(file, tensor.name());
      long bytes = bytes(faults, where, tensor);
      long room = size - start;
      if (tensor.offset() % alignment != 0) {
        throw faults.invalid(
            where + ": offset", "a multiple of the alignment, " + alignment, tensor.offset());
      }
      if (tensor.offset() > room || bytes > room - tensor.offset()) {
        throw faults.invalid(
            where,
            bytes + " bytes at " + tensor.offset() + " of the data",
            Math.max(0, room) + " bytes of data, truncated");
      }
      Tensor placed =
          new Tensor(tensor.name(), tensor.type(), tensor.shape(), start + tensor.offset(), bytes);
      if (tensors.put(tensor.name(), placed) != null) {
        throw faults.invalid(where, "each tensor once", "it twice");
      }
    }
    checkApart(faults, file, tensors);
    return tensors;
  }

  private static long bytes(Faults faults, String where, Described tensor) {
    try {
      long elements = tensor.shape().stream().reduce(1L, Math::multiplyExact);
      if (tensor.shape().getLast() % tensor.type().blockElements() != 0) {
        throw faults.invalid(
            where + ": dimensions",
            "rows of whole blocks of " + tensor.type().blockElements() + " for " + tensor.type(),
            tensor.shape());
      }
      return tensor.type().byteSize(elements);
    } catch (ArithmeticException e) {
      throw faults.invalid(where + ": dimensions", "a product within 64 bits", tensor.shape(), e);
    }
  }

  private static void checkApart(Faults faults, Path file, Map<String, Tensor> tensors) {
    List<Tensor> sorted = new ArrayList<>(tensors.values());
    sorted.sort(Comparator.comparingLong(Tensor::begin).thenComparingLong(Tensor::bytes));
    for (int t = 1; t < sorted.size(); t++) {
      Tensor before = sorted.get(t - 1);
      Tensor tensor = sorted.get(t);
      if (tensor.begin() < before.begin() + before.bytes()) {
        throw faults.invalid(
            where(file, tensor.name()) + ": offset",
            "data behind that of tensor '" + Faults.show(before.name()) + "'",
            "it to overlap");
      }
    }
  }

  private static String where(Path file, String tensor) {
    return file + ": tensor '" + Faults.show(tensor) + "'";
  }

  /** Returns how messages name a tensor. */
  public String where(String tensor) {
    return where(file, tensor);
  }
}
