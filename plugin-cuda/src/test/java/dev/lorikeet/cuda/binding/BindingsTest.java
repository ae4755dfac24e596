package dev.lorikeet.cuda.binding;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.emulation.EmulatedDriver;
import dev.lorikeet.cuda.emulation.Toolkit;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.reflect.Method;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Holds the bindings to {@code cuda.h}, where a toolkit of their version is installed. */
class BindingsTest {
  private static final String MATCHES =
      """
      #include <cuda.h>
      template <unsigned... sizes, typename R, typename... A>
      constexpr bool matches(R (*)(A...)) {
        return sizeof(R) == 4 && sizeof...(A) == sizeof...(sizes) && ((sizeof(A) == sizes) && ...);
      }
      """;

  @BeforeAll
  static void emulate() {
    EmulatedDriver.install();
  }

  @Test
  void functionsAndConstantsAreThoseOfTheHeader() throws Exception {
    assumeTrue(Toolkit.find().isPresent(), "cuda.h of CUDA 13.0 is not there");
    StringBuilder source = new StringBuilder(MATCHES);
    int functions = 0;
    int constants = 0;
    for (Method method : CudaDriver.class.getMethods()) {
      String name = method.getName();
      if (name.endsWith("$descriptor")) {
        FunctionDescriptor descriptor = (FunctionDescriptor) method.invoke(null);
        String sizes =
            descriptor.argumentLayouts().stream()
                .map(MemoryLayout::byteSize)
                .map(String::valueOf)
                .collect(Collectors.joining(", "));
        String function = name.substring(0, name.indexOf('$'));
        source.append("static_assert(matches<" + sizes + ">(&" + function + "));\n");
        functions++;
      } else if (name.matches("CU[A-Z_0-9]+")) {
        source.append("static_assert(" + name + " == " + method.invoke(null) + ");\n");
        constants++;
      }
    }
    assertTrue(
        functions >= 40 && constants >= 15, functions + " functions, " + constants + " constants");
    Toolkit.check(source.toString());
  }
}
