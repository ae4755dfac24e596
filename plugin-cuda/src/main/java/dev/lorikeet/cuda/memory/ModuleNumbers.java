package dev.lorikeet.cuda.memory;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Numbers target modules from 0 as they are first seen, so that kernels find them in tables without
 * gaps. A number never changes. The modules of a layer, or of one of its experts, are numbered
 * together: where an adapter changes one of them, kernels may ask for any other. Looking a number
 * up allocates nothing. Not thread-safe.
 */
final class ModuleNumbers {
  private final Map<TargetModule, Integer> numbers = new HashMap<>();

  /** Returns the number of a module, a new one if it has none. */
  int of(TargetModule module) {
    Integer number = numbers.get(module);
    if (number != null) {
      return number;
    }
    for (TargetModule each : together(module)) {
      numbers.put(each, numbers.size());
    }
    return of(module);
  }

  private static List<TargetModule> together(TargetModule module) {
    int layer = module.layer();
    Stream<TargetModule> modules =
        module.isExpert()
            ? Projection.ofExpert().stream()
                .map(p -> TargetModule.ofExpert(layer, p, module.expert()))
            : module.isPlain()
                ? Projection.ofLayer().stream().map(p -> TargetModule.of(layer, p))
                : Stream.of(module);
    return modules.toList();
  }

  /** Returns how many modules have a number, the largest number and one. */
  int count() {
    return numbers.size();
  }
}
