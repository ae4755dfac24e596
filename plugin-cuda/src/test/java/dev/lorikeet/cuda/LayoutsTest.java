package dev.lorikeet.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.reflect.Field;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds the layouts that Java writes to those that the kernels' header declares. */
class LayoutsTest {
  private static final Map<Class<?>, String> STRUCTURES =
      Map.of(
          Layouts.Target.class, "TargetRecord",
          Layouts.Sgmv.class, "SgmvArgs",
          Layouts.Output.class, "Output",
          Layouts.Module.class, "SwitchModule",
          Layouts.Switch.class, "SwitchArgs");

  @Test
  void offsetsAndSizesAreThoseOfTheHeader() throws Exception {
    assumeTrue(NativeCompiler.isThere(), "g++ is not there");
    StringBuilder source =
        new StringBuilder(
            "#include <cstddef>\n#include \"layout.cuh\"\nusing namespace lorikeet;\n");
    int asserts = 0;
    for (var structure : STRUCTURES.entrySet()) {
      for (Field field : structure.getKey().getDeclaredFields()) {
        if (field.getName().equals("NEAR")) {
          continue;
        }
        String found =
            field.getName().equals("BYTES")
                ? "sizeof(" + structure.getValue() + ")"
                : "offsetof(" + structure.getValue() + ", " + camelCase(field.getName()) + ")";
        source.append("static_assert(" + found + " == " + field.getInt(null) + ");\n");
        asserts++;
      }
    }
    for (String constant :
        new String[] {
          "MAX_RANK",
          "MAX_TARGETS",
          "VECTOR_ROWS",
          "MATRIX_ROWS",
          "FUSED_RUNS",
          "PREFETCH_B",
          "PREFETCH_OWN"
        }) {
      int value = Layouts.class.getDeclaredField(constant).getInt(null);
      source.append("static_assert(" + constant + " == " + value + ");\n");
    }
    source.append("static_assert(sizeof(Tile) == " + 4 * Layouts.TILE_INTS + ");\n");
    source.append("static_assert(sizeof(Run) == " + 4 * Layouts.RUN_INTS + ");\n");
    assertTrue(asserts > 50, "found " + asserts + " fields");
    NativeCompiler.check(
        source.toString(), "-DLORIKEET_EMULATION", "-w", "-Isrc/main/cuda", "-Isrc/test/emulation");
  }

  private static String camelCase(String constant) {
    return Pattern.compile("_(.)")
        .matcher(constant.toLowerCase(Locale.ROOT))
        .replaceAll(m -> m.group(1).toUpperCase(Locale.ROOT));
  }
}
