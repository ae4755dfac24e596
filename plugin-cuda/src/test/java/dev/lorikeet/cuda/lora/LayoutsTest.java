package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.emulation.HeaderCheck;
import dev.lorikeet.cuda.emulation.NativeCompiler;
import org.junit.jupiter.api.Test;

/** Holds the layouts that Java writes to those that the kernels' header declares. */
class LayoutsTest {
  @Test
  void offsetsAndSizesAreThoseOfTheHeader() throws Exception {
    assumeTrue(NativeCompiler.isThere(), "g++ is not there");
    new HeaderCheck()
        .structure("SgmvArgs", Layouts.Sgmv.class)
        .structure("Output", Layouts.Output.class)
        .structure("SwitchModule", Layouts.Module.class)
        .structure("SwitchArgs", Layouts.Switch.class)
        .constants(
            Layouts.class,
            "MAX_TARGETS",
            "VECTOR_ROWS",
            "MATRIX_ROWS",
            "FUSED_RUNS",
            "PREFETCH_B",
            "PREFETCH_OWN")
        .that("sizeof(Tile)", 4 * Layouts.TILE_INTS)
        .that("sizeof(Run)", 4 * Layouts.RUN_INTS)
        .judge(45);
  }
}
