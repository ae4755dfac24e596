package dev.lorikeet.cuda.memory;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.emulation.HeaderCheck;
import dev.lorikeet.cuda.emulation.NativeCompiler;
import org.junit.jupiter.api.Test;

/**
 * Holds the record that Java writes for each module to the one that the kernels' header declares.
 */
class TargetRecordTest {
  @Test
  void offsetsAndSizesAreThoseOfTheHeader() throws Exception {
    assumeTrue(NativeCompiler.isThere(), "g++ is not there");
    new HeaderCheck()
        .structure("TargetRecord", TargetRecord.class, "NEAR", "MAX_RANK")
        .constants(TargetRecord.class, "MAX_RANK")
        .that("sizeof(TargetRecord::nearPages)", 2 * 8 * TargetRecord.NEAR)
        .judge(16);
  }
}
