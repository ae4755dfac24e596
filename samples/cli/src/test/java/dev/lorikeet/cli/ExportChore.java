package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.files.peft.PeftWriter;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Writes an adapter as PEFT has it, which replaces none: each time under a new name. */
final class ExportChore implements Chore {
  private static final int WIDTH = 64;
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(1)
          .hidden(WIDTH)
          .intermediate(WIDTH)
          .heads(1)
          .kvHeads(1)
          .headDim(WIDTH)
          .vocabulary(100)
          .build();
  private final Path folder;
  private final Path right;

  /**
   * Creates it.
   *
   * @param around where it writes
   * @param right what it is to write
   */
  ExportChore(Path around, Path right) {
    this.folder = around.resolve("export");
    this.right = right;
  }

  @Override
  public String name() {
    return "export";
  }

  @Override
  public Path folder() {
    return folder;
  }

  @Override
  public int run(int turn) throws IOException {
    Path target = Files.createDirectories(folder).resolve("adapter" + turn);
    for (int i = turn + 1; Files.exists(target); i++) {
      target = folder.resolve("adapter" + i);
    }
    try {
      new PeftWriter(SHAPE, Optional.empty())
          .write(
              target,
              List.of(
                  LoraWeights.of(
                      TargetModule.of(0, Projection.Q),
                      ChoreInputs.factor(ChoreInputs.RANK, WIDTH, 1),
                      ChoreInputs.factor(ChoreInputs.RANK, WIDTH, 0.5f),
                      2)));
      return ExitCode.OK;
    } catch (IOException e) {
      return ExitCode.of(LorikeetException.ofFiles("writing " + target, e).code());
    }
  }

  @Override
  public void checkWhole() throws IOException {
    for (Path directory : Chores.files(folder)) {
      if (!directory.getFileName().toString().startsWith(".")) {
        assertEquals(Snapshot.of(right), Snapshot.of(directory), directory.toString());
      }
    }
  }

  @Override
  public void checkClean() throws IOException {
    for (Path directory : Chores.files(folder)) {
      assertTrue(
          directory.getFileName().toString().startsWith("adapter"),
          () -> directory + ": left by an export");
      Chores.delete(directory);
    }
  }

  @Override
  public long bytes() {
    return 200_000;
  }
}
