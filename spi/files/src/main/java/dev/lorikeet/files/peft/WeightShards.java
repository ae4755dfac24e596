package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.adapter.FileStamp;
import dev.lorikeet.files.adapter.StoredBytes;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * The files of an adapter's weights, open: one, or those that an index lists. Positions count
 * through all files in the order of their names.
 */
final class WeightShards implements StoredBytes, Closeable {
  private static final int MAX_INDEX_BYTES = 16 << 20;
  private static final int MAX_SHARDS = 256;

  private final List<Shard> shards = new ArrayList<>();

  /**
   * A file.
   *
   * @param begin the position of its first byte
   * @param header its header, without the length
   */
  private record Shard(Path path, FileChannel channel, long begin, long size, ByteBuffer header) {}

  private WeightShards() {}

  /** Opens these files of a folder and reads their headers. */
  static WeightShards open(AdapterFolder folder, List<String> names) throws IOException {
    WeightShards opened = new WeightShards();
    try {
      long begin = 0;
      for (String name : names) {
        FileChannel channel = folder.open(name);
        long size = 0;
        try {
          size = channel.size();
          ByteBuffer header =
              SafetensorsHeader.readBytes(Faults.ADAPTER, folder.path(name), channel);
          opened.shards.add(new Shard(folder.path(name), channel, begin, size, header));
        } catch (IOException | RuntimeException | Error e) {
          channel.close();
          throw e;
        }
        begin = Math.addExact(begin, size);
      }
      return opened;
    } catch (IOException | RuntimeException | Error e) {
      opened.close();
      throw e;
    }
  }

  /** Returns the names of the files that an index lists. */
  static List<String> listed(AdapterFolder folder, String index) {
    Path file = folder.path(index);
    JsonNode map =
        JsonFile.parse(Faults.ADAPTER, file.toString(), folder.read(index, MAX_INDEX_BYTES))
            .root()
            .path("weight_map");
    TreeSet<String> names = new TreeSet<>();
    for (JsonNode name : map) {
      if (!name.isTextual()
          || !name.textValue().endsWith(".safetensors")
          || name.textValue().contains("/")
          || name.textValue().contains("\\")) {
        throw Faults.ADAPTER.refuse(
            file,
            "weight_map: expected names of safetensors files in the same folder, found "
                + Faults.show(name.toString()));
      }
      names.add(name.textValue());
    }
    if (names.isEmpty() || names.size() > MAX_SHARDS) {
      throw Faults.ADAPTER.refuse(
          file, "weight_map: expected 1 to " + MAX_SHARDS + " files, found " + names.size());
    }
    return List.copyOf(names);
  }

  /** Returns the first file, for messages. */
  Path path() {
    return shards.getFirst().path();
  }

  /** Returns what tells these headers from others. */
  List<ByteBuffer> headers() {
    return shards.stream().map(shard -> shard.header().duplicate()).toList();
  }

  /** Returns the size of all files together. */
  long size() {
    return shards.getLast().begin() + shards.getLast().size();
  }

  /** Parses all headers; places count through all files. */
  SafetensorsHeader header() {
    Map<String, SafetensorsHeader.Entry> tensors = new HashMap<>();
    for (Shard shard : shards) {
      SafetensorsHeader.parse(
              Faults.ADAPTER, shard.path(), shard.header().duplicate(), shard.size())
          .tensors()
          .forEach(
              (name, entry) -> {
                var placed =
                    new SafetensorsHeader.Entry(
                        entry.type(),
                        entry.shape(),
                        entry.begin() + shard.begin(),
                        entry.end() + shard.begin());
                if (tensors.put(name, placed) != null) {
                  throw Faults.ADAPTER.refuse(
                      shard.path(),
                      SafetensorsHeader.tensor(name) + ": expected in one file, found in two");
                }
              });
    }
    return new SafetensorsHeader(tensors);
  }

  /** Returns a stamp of all files together. */
  FileStamp stamp(AdapterFolder folder) throws IOException {
    if (shards.size() == 1) {
      return folder.stamp(String.valueOf(path().getFileName()));
    }
    List<FileStamp> stamps = new ArrayList<>();
    FileTime last = FileTime.fromMillis(0);
    for (Shard shard : shards) {
      FileStamp stamp = folder.stamp(String.valueOf(shard.path().getFileName()));
      stamps.add(stamp);
      last = stamp.modified().compareTo(last) > 0 ? stamp.modified() : last;
    }
    return new FileStamp(List.copyOf(stamps), size(), last);
  }

  @Override
  public void readFully(ByteBuffer buffer, long position) throws IOException {
    Shard of = shards.getFirst();
    for (Shard shard : shards) {
      if (shard.begin() <= position) {
        of = shard;
      }
    }
    UntrustedFile.readFully(Faults.ADAPTER, of.path(), of.channel(), buffer, position - of.begin());
  }

  @Override
  public void close() throws IOException {
    for (Shard shard : shards) {
      shard.channel().close();
    }
  }
}
