package dev.lorikeet.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.emulation.Toolkit;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import org.junit.jupiter.api.Test;

/** Holds the structures of a launch to those that {@code cuda.h} declares. */
class LaunchLayoutTest {
  @Test
  void offsetsAndSizesAreThoseOfTheHeader() throws Exception {
    assumeTrue(Toolkit.find().isPresent(), "cuda.h of CUDA 13.0 is not there");
    StringBuilder source = new StringBuilder("#include <cstddef>\n#include <cuda.h>\n");
    int fields =
        describe(source, "CUlaunchConfig", KernelArgument.CONFIG)
            + describe(source, "CUlaunchAttribute", KernelArgument.ATTRIBUTE);
    source.append(
        "static_assert(offsetof(CUlaunchAttributeValue, programmaticStreamSerializationAllowed)"
            + " == 0);\n");
    assertEquals(12, fields);
    Toolkit.check(source.toString());
  }

  private static int describe(StringBuilder source, String name, StructLayout layout) {
    source.append("static_assert(sizeof(" + name + ") == " + layout.byteSize() + ");\n");
    int fields = 0;
    for (MemoryLayout member : layout.memberLayouts()) {
      if (member.name().isPresent()) {
        String field = member.name().get();
        long offset = layout.byteOffset(PathElement.groupElement(field));
        source.append("static_assert(offsetof(" + name + ", " + field + ") == " + offset + ");\n");
        fields++;
      }
    }
    return fields;
  }
}
