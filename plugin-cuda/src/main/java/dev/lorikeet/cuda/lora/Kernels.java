package dev.lorikeet.cuda.lora;

import dev.lorikeet.cuda.driver.CudaFunction;
import dev.lorikeet.cuda.driver.CudaModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The kernels, loaded from the fat binaries in the jar, by the element type of the activations. */
final class Kernels implements AutoCloseable {
  /** The sources, each with a fat binary of its own. */
  static final List<String> FILES =
      List.of(
          "sgmv_shrink",
          "sgmv_expand",
          "sgmv_fused",
          "sgmv_shrink_mma",
          "sgmv_expand_mma",
          "fused_switch");

  private final List<CudaModule> modules = new ArrayList<>();
  private final Map<ElementType, CudaFunction> shrink = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> expand = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> fused = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> shrinkMatrix = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> expandMatrix = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> switchAny = new EnumMap<>(ElementType.class);
  private final Map<ElementType, CudaFunction> switchMatrix = new EnumMap<>(ElementType.class);

  private Kernels() {}

  static Kernels load() {
    Kernels kernels = new Kernels();
    try {
      kernels.load("sgmv_shrink", "sgmv_shrink", kernels.shrink, true);
      kernels.load("sgmv_expand", "sgmv_expand", kernels.expand, true);
      kernels.load("sgmv_fused", "sgmv_fused", kernels.fused, true);
      kernels.load("sgmv_shrink_mma", "sgmv_shrink_mma", kernels.shrinkMatrix, false);
      kernels.load("sgmv_expand_mma", "sgmv_expand_mma", kernels.expandMatrix, false);
      CudaModule fusedSwitch =
          kernels.load("fused_switch", "fused_switch", kernels.switchAny, true);
      kernels.functions(fusedSwitch, "fused_switch_mma", kernels.switchMatrix, false);
      return kernels;
    } catch (RuntimeException e) {
      kernels.close();
      throw e;
    }
  }

  private CudaModule load(
      String file, String kernel, Map<ElementType, CudaFunction> byType, boolean float32) {
    CudaModule module = CudaModule.load(image(file));
    modules.add(module);
    functions(module, kernel, byType, float32);
    return module;
  }

  private void functions(
      CudaModule module, String kernel, Map<ElementType, CudaFunction> byType, boolean float32) {
    for (ElementType type : ElementType.values()) {
      if (float32 || type != ElementType.F32) {
        byType.put(type, module.function(kernel + "_" + type.name().toLowerCase(Locale.ROOT)));
      }
    }
  }

  /** Reads a fat binary from the jar. */
  static byte[] image(String file) {
    String name = "/dev/lorikeet/cuda/" + file + ".fatbin";
    try (InputStream in = Kernels.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the jar lacks the kernels " + name);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(name, e);
    }
  }

  CudaFunction shrink(ElementType type) {
    return of(shrink, type);
  }

  CudaFunction expand(ElementType type) {
    return of(expand, type);
  }

  CudaFunction fused(ElementType type) {
    return of(fused, type);
  }

  CudaFunction shrinkMatrix(ElementType type) {
    return of(shrinkMatrix, type);
  }

  CudaFunction expandMatrix(ElementType type) {
    return of(expandMatrix, type);
  }

  CudaFunction switchAny(ElementType type) {
    return of(switchAny, type);
  }

  CudaFunction switchMatrix(ElementType type) {
    return of(switchMatrix, type);
  }

  /** Returns all kernels, to report what they use. */
  List<CudaFunction> all() {
    List<CudaFunction> all = new ArrayList<>();
    for (var byType :
        List.of(shrink, expand, fused, shrinkMatrix, expandMatrix, switchAny, switchMatrix)) {
      all.addAll(byType.values());
    }
    return all;
  }

  private static CudaFunction of(Map<ElementType, CudaFunction> byType, ElementType type) {
    CudaFunction function = byType.get(type);
    if (function == null) {
      throw new IllegalArgumentException("no kernel for " + type);
    }
    return function;
  }

  @Override
  public void close() {
    modules.forEach(CudaModule::close);
    modules.clear();
  }
}
