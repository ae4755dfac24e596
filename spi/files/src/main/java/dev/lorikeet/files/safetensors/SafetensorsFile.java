package dev.lorikeet.files.safetensors;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Safetensors files, mapped into memory. */
public final class SafetensorsFile {
  /*
   * A safetensors file is an 8-byte little-endian length, a JSON header of that length that maps
   * names to {dtype, shape, data_offsets}, and the data. The file is untrusted: length, types,
   * shapes and offsets are all checked against one another and against the size of the file before a
   * byte of data is looked at, and the tensors must cover the data without overlap or gap, which
   * also finds truncated and padded files. The whole file is mapped as one segment, so tensors
   * beyond 2 GiB need no special treatment, and the arena that closes it unmaps it.
   *
   * Format: github.com/huggingface/safetensors. Jlama writes its Q4 into the same format: dtype Q4,
   * two elements a byte, scales in a second tensor `name.qb`.
   */
  /** Twice what a thousand layers need; the format itself allows 100 MB. */
  private static final long MAX_HEADER_BYTES = 16L << 20;

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private record Extent(String name, StoredType type, List<Long> shape, long begin, long end) {
    StoredTensor in(Path file, MemorySegment data) {
      return new StoredTensor(name, file, type, shape, data.asSlice(begin, end - begin));
    }
  }

  private SafetensorsFile() {}

  /**
   * Maps a file and returns its tensors.
   *
   * @param arena owns the mapping
   */
  public static List<StoredTensor> map(Path file, Arena arena) {
    if (!Files.isRegularFile(file)) {
      String found = Files.exists(file) ? "a folder" : "nothing";
      throw Faults.invalid(file, "a safetensors file", found);
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < Long.BYTES) {
        throw Faults.invalid(file, "at least 8 bytes", size);
      }
      return read(file, channel.map(MapMode.READ_ONLY, 0, size, arena));
    } catch (IOException e) {
      throw Faults.invalid(file, "a file that can be mapped", e, e);
    }
  }

  private static List<StoredTensor> read(Path file, MemorySegment bytes) {
    long headerBytes = bytes.get(LENGTH, 0);
    long limit = Math.min(MAX_HEADER_BYTES, bytes.byteSize() - Long.BYTES);
    if (headerBytes < 2 || headerBytes > limit) {
      throw Faults.invalid(file + ": header length", "from 2 to " + limit + " bytes", headerBytes);
    }
    byte[] text = bytes.asSlice(Long.BYTES, headerBytes).toArray(ValueLayout.JAVA_BYTE);
    JsonFile header = JsonFile.parse(file + ": header", text);
    MemorySegment data = bytes.asSlice(Long.BYTES + headerBytes);
    List<Extent> extents = new ArrayList<>();
    for (var entry : header.root().properties()) {
      if (!entry.getKey().equals("__metadata__")) {
        extents.add(extent(header, entry.getKey(), data.byteSize()));
      }
    }
    checkCoverage(file, extents, data.byteSize());
    return extents.stream().map(extent -> extent.in(file, data)).toList();
  }

  private static Extent extent(JsonFile header, String name, long dataBytes) {
    JsonFile json = header.object(name).orElseThrow(() -> header.missing(name, "an object"));
    StoredType type = type(json);
    List<Long> shape = longs(json, "shape", 0, 8);
    List<Long> offsets = longs(json, "data_offsets", 2, 2);
    long begin = offsets.getFirst();
    long end = offsets.getLast();
    if (begin > end || end > dataBytes) {
      String expected = "a range within the " + dataBytes + " bytes of data";
      throw Faults.invalid(json.where("data_offsets"), expected, offsets);
    }
    long needed;
    try {
      needed = type.byteSize(shape.stream().reduce(1L, Math::multiplyExact));
    } catch (ArithmeticException e) {
      throw Faults.invalid(json.where("shape"), "fewer than 2^63 bytes", shape, e);
    }
    if (end - begin != needed) {
      String expected = needed + " bytes for " + type + shape;
      throw Faults.invalid(json.where("data_offsets"), expected, end - begin);
    }
    return new Extent(name, type, shape, begin, end);
  }

  private static StoredType type(JsonFile json) {
    String name = json.text("dtype").orElseThrow(() -> json.missing("dtype", "such as BF16"));
    return StoredType.ofName(name)
        .orElseThrow(() -> json.unsupported("dtype", name, "F32, F16, BF16 or Q4"));
  }

  private static List<Long> longs(JsonFile json, String key, int least, int most) {
    String expected = "a list of " + least + " to " + most + " integers, none below 0";
    JsonNode list = json.node(key).orElseThrow(() -> json.missing(key, expected));
    if (!list.isArray() || list.size() < least || list.size() > most) {
      throw json.wrong(key, list, expected);
    }
    List<Long> values = new ArrayList<>();
    for (JsonNode value : list) {
      if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < 0) {
        throw json.wrong(key, value, expected);
      }
      values.add(value.longValue());
    }
    return values;
  }

  private static void checkCoverage(Path file, List<Extent> extents, long dataBytes) {
    extents.sort(Comparator.comparingLong(Extent::begin).thenComparingLong(Extent::end));
    long covered = 0;
    for (Extent extent : extents) {
      if (extent.begin != covered) {
        String where = file + ": " + extent.name + ": data_offsets";
        throw Faults.invalid(
            where, "to begin at " + covered + ", without gap or overlap", extent.begin);
      }
      covered = extent.end;
    }
    if (covered != dataBytes) {
      throw Faults.invalid(file, covered + " bytes of data after the header", dataBytes);
    }
  }
}
