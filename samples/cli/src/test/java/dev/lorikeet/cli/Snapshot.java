package dev.lorikeet.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/** What is in a folder: the files by their relative paths, each with its size and a checksum. */
record Snapshot(Map<String, String> files) {
  static Snapshot of(Path folder) throws IOException {
    Map<String, String> files = new TreeMap<>();
    if (Files.exists(folder)) {
      try (Stream<Path> found = Files.walk(folder)) {
        for (Path file : found.filter(path -> !Files.isDirectory(path)).toList()) {
          files.put(folder.relativize(file).toString(), checksum(Files.readAllBytes(file)));
        }
      }
    }
    return new Snapshot(files);
  }

  static String checksum(byte[] bytes) {
    CRC32 sum = new CRC32();
    sum.update(bytes);
    return bytes.length + " bytes " + Long.toHexString(sum.getValue());
  }
}
