package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Unpacks the tiny model, of which one file is missing. */
final class UnpackChore implements Chore {
  private final Path folder;

  UnpackChore(Path around) {
    this.folder = around.resolve("unpack");
  }

  @Override
  public String name() {
    return "unpack";
  }

  @Override
  public Path folder() {
    return folder;
  }

  private static List<String> missing() {
    return List.of("adapters/voyage/adapter_model.safetensors", "reference.json");
  }

  @Override
  public int run(int turn) throws IOException {
    Files.deleteIfExists(folder.resolve(missing().get(turn % missing().size())));
    try {
      TinyModel.extract(folder);
      return ExitCode.OK;
    } catch (UncheckedIOException e) {
      return ExitCode.of(
          LorikeetException.ofFiles("unpacking", Objects.requireNonNull(e.getCause())).code());
    }
  }

  @Override
  public void checkWhole() throws IOException {
    Path whole = Objects.requireNonNull(TinyModel.extract().base().getParent());
    for (Map.Entry<String, String> file : Snapshot.of(folder).files().entrySet()) {
      if (!hidden(file.getKey())) {
        byte[] right = Files.readAllBytes(whole.resolve(file.getKey()));
        assertEquals(Snapshot.checksum(right), file.getValue(), file.getKey());
      }
    }
  }

  private static boolean hidden(String file) {
    return file.endsWith(".part") || file.equals(".lock");
  }

  @Override
  public void checkClean() throws IOException {
    for (String file : Snapshot.of(folder).files().keySet()) {
      assertTrue(!file.endsWith(".part"), () -> file + ": left by an unpacking");
    }
  }

  @Override
  public long bytes() {
    return 2_500_000;
  }
}
