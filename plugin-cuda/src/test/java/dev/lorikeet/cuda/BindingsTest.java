package dev.lorikeet.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.binding.CudaDriver;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
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

  private static Optional<Path> toolkit() {
    return Stream.of(
            System.getenv().getOrDefault("CUDA_HOME", "/usr/local/cuda"), "/usr/local/cuda-13.0")
        .map(home -> Path.of(home, "include"))
        .filter(folder -> Files.exists(folder.resolve("cuda.h")))
        .findFirst();
  }

  @Test
  void functionsAndConstantsAreThoseOfTheHeader() throws Exception {
    assumeTrue(toolkit().isPresent(), "cuda.h of CUDA 13.0 is not there");
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
    NativeCompiler.check(source.toString(), "-I" + toolkit().orElseThrow());
  }
}
