package dev.lorikeet.bench.adapters;

import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Any number of adapter directories that are hard links to a few distinct adapters, which spares
 * the disk; in memory each is an adapter of its own.
 *
 * @param folder where they are kept between runs
 * @param shape the sizes of the model
 * @param rank their rank
 * @param distinct how many differ
 */
record AdapterFarm(Path folder, ModelShape shape, int rank, int distinct) {
  private static final List<String> FILES =
      List.of("adapter_config.json", "adapter_model.safetensors");

  /** Returns the directory of an adapter, which exists then. */
  Path adapter(int number) throws IOException {
    Path directory = folder.resolve(String.format(java.util.Locale.ROOT, "%06d", number));
    if (Files.exists(directory.resolve(FILES.getLast()))) {
      return directory;
    }
    if (number < distinct) {
      RandomWeights.writeAdapter(directory, shape, rank, 1000 + number);
    } else {
      Path original = adapter(number % distinct);
      Files.createDirectories(directory);
      for (String file : FILES) {
        Files.createLink(directory.resolve(file), original.resolve(file));
      }
    }
    return directory;
  }

  /** Returns the bytes of one adapter's weights. */
  long bytes() throws IOException {
    return Files.size(adapter(0).resolve(FILES.getLast()));
  }
}
