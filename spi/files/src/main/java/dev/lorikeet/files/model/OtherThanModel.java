package dev.lorikeet.files.model;

import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** What people name where a model directory is expected, and what they are to do then. */
final class OtherThanModel {
  private static final String EXPECTED =
      "expected a model directory in Hugging Face's layout, with "
          + ConfigFile.NAME
          + ", or a GGUF file, found ";
  private static final String CACHED = "models--";

  private OtherThanModel() {}

  /** Refuses what is known to be no model directory; does nothing where a configuration is. */
  static void refuse(Path path) {
    if (Files.exists(path.resolve(ConfigFile.NAME))) {
      return;
    }
    if (Files.isRegularFile(path)) {
      throw Faults.MODEL.refuse(path, EXPECTED + "another file: name the folder that it is in");
    }
    if (!Files.exists(path)) {
      throw Faults.MODEL.refuse(
          path, EXPECTED + "nothing there: name a directory, or a model of the hub as owner/name");
    }
    if (Files.exists(path.resolve("adapter_config.json"))) {
      throw Faults.MODEL.refuse(
          path,
          EXPECTED
              + "an adapter: name the base model that it was trained on, and this folder as an"
              + " adapter of it");
    }
    refuseFolder(path);
  }

  private static void refuseFolder(Path folder) {
    if (Files.isDirectory(folder.resolve("snapshots"))) {
      throw Faults.MODEL.refuse(
          folder,
          EXPECTED
              + "a model in the hub's cache: name it as owner/name, or one of the folders in"
              + " snapshots");
    }
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
      for (Path entry : entries) {
        String name = String.valueOf(entry.getFileName());
        if (name.startsWith(CACHED)) {
          throw Faults.MODEL.refuse(
              folder, EXPECTED + "a cache of the hub: name a model in it as owner/name");
        }
      }
    } catch (IOException e) {
      return; // whoever reads the configuration says what is wrong
    }
  }
}
