package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class KernelsTest {
  /** Chooses kernels in a JVM of its own. */
  static final class Chooser {
    private Chooser() {}

    public static void main(String[] args) {
      System.out.println(Kernels.get().description());
    }
  }

  private static String choose(String... flags) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(flags));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Chooser.class.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    return said;
  }

  @Test
  void aMissingVectorModuleIsAWarningThatNamesTheFlag() throws Exception {
    String said = choose();
    assertTrue(said.contains("WARNING: scalar kernels"), said);
    assertTrue(said.contains("--add-modules=jdk.incubator.vector"), said);
  }

  @Test
  void scalarKernelsThatWereAskedForAreNoWarning() throws Exception {
    String said = choose("-Dlorikeet.kernels.scalar=true");
    assertTrue(said.contains("INFO: scalar kernels"), said);
  }
}
