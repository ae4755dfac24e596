package dev.lorikeet.files.safetensors;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Safetensors files, mapped into memory: the whole file as one segment, so that tensors beyond 2
 * GiB need no special treatment, and the arena that closes it unmaps it.
 */
public final class SafetensorsFile {
  private SafetensorsFile() {}

  /**
   * Maps a model's file and returns its tensors in the order of their data.
   *
   * @param arena owns the mapping
   */
  public static List<StoredTensor> map(Path file, Arena arena) {
    try (FileChannel channel = UntrustedFile.open(Faults.MODEL, file)) {
      long size = channel.size();
      var text = SafetensorsHeader.readBytes(Faults.MODEL, file, channel);
      var header = SafetensorsHeader.parse(Faults.MODEL, file, text, size);
      MemorySegment bytes = channel.map(MapMode.READ_ONLY, 0, size, arena);
      var entries = new ArrayList<>(header.tensors().entrySet());
      entries.sort(Comparator.comparingLong(entry -> entry.getValue().begin()));
      List<StoredTensor> tensors = new ArrayList<>();
      for (var tensor : entries) {
        var entry = tensor.getValue();
        var data = bytes.asSlice(entry.begin(), entry.end() - entry.begin());
        tensors.add(new StoredTensor(tensor.getKey(), file, entry.type(), entry.shape(), data));
      }
      return List.copyOf(tensors);
    } catch (IOException e) {
      throw Faults.MODEL.invalid(file, "a file that can be mapped", e, e);
    }
  }
}
