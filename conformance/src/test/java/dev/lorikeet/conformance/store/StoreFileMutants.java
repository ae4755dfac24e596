package dev.lorikeet.conformance.store;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.store.StoreMutants.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.files.PeftFiles;
import dev.lorikeet.conformance.files.ReferencePeft;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/** Adapter stores with one fault each in what they read and register: rules S1 to S8. */
final class StoreFileMutants {
  private StoreFileMutants() {}

  private static Mutant reading(String fault, Set<String> by, Set<String> also, Reading reading) {
    return store(fault, by, also, config -> new Reads(config, reading));
  }

  private static Mutant accepting(String fault, String what, Set<String> by, Set<String> also) {
    return store(fault, by, also, config -> new Accepts(config, what));
  }

  static List<Mutant> all() {
    return List.of(
        reading(
            "target modules in the file's reverse order",
            rules("S1"),
            rules(),
            (m, c) -> m.reversed()),
        reading(
            "rank-stabilized scaling taken for the plain one",
            rules("S2"),
            rules(),
            StoreFileMutants::plainScaling),
        reading("alpha patterns not applied", rules("S2"), rules(), StoreFileMutants::plainAlpha),
        reading("two rows of B exchanged", rules("S3"), rules(), StoreFileMutants::exchangedRows),
        reading(
            "rows of a block-diagonal B in another order",
            rules("S3"),
            rules(),
            StoreFileMutants::exchangedBlocks),
        store(
            "a rejected registration forgets the name", rules("S4"), rules(), ForgetsOnError::new),
        store("a rejected registration keeps a page", rules("S4"), rules(), LeaksOnError::new),
        accepting("NaN and infinity accepted", "not finite", rules("S5"), rules()),
        accepting("overlapping tensors accepted", "overlap", rules("S5"), rules()),
        accepting("links out of the folder followed", "expected a file", rules("S5"), rules()),
        store(
            "rejections of the wrong type", rules("S5"), rules("S6", "S7", "S18"), WrongType::new),
        accepting("MoRA ignored", "use_mora", rules("S6"), rules()),
        accepting("DoRA ignored", "use_dora", rules("S18"), rules()),
        accepting("saved modules ignored", "modules_to_save", rules("S18"), rules()),
        accepting("sizes of another base model accepted", "does not fit", rules("S7"), rules("S5")),
        store("no look at the pool's size", rules("S8"), rules(), NoCapacity::new));
  }

  @FunctionalInterface
  private interface Reading {
    List<ReferencePeft.Module> read(List<ReferencePeft.Module> modules, JsonNode config);
  }

  private static final class Reads extends ReferenceStore {
    private final Reading reading;

    Reads(StoreConfig config, Reading reading) {
      super(config);
      this.reading = reading;
    }

    @Override
    List<ReferencePeft.Module> read(Path path) {
      try {
        return reading.read(
            super.read(path), new ObjectMapper().readTree(path.resolve(PeftFiles.CONFIG).toFile()));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static List<ReferencePeft.Module> scaled(
      List<ReferencePeft.Module> modules, Function<TargetSpec, Double> scaling) {
    return modules.stream()
        .map(
            m -> {
              TargetSpec s = m.spec();
              return new ReferencePeft.Module(
                  TargetSpec.builder(s.target())
                      .rank(s.rank())
                      .inFeatures(s.inFeatures())
                      .outFeatures(s.outFeatures())
                      .scaling(scaling.apply(s).floatValue())
                      .aBlocks(s.aBlocks())
                      .bBlocks(s.bBlocks())
                      .type(s.type())
                      .build(),
                  m.a(),
                  m.b());
            })
        .toList();
  }

  private static List<ReferencePeft.Module> plainScaling(
      List<ReferencePeft.Module> modules, JsonNode config) {
    return config.path("use_rslora").asBoolean()
        ? scaled(modules, s -> s.scaling() / Math.sqrt(s.rank()))
        : modules;
  }

  private static List<ReferencePeft.Module> plainAlpha(
      List<ReferencePeft.Module> modules, JsonNode config) {
    return config.path("alpha_pattern").isEmpty()
        ? modules
        : scaled(modules, s -> config.path("lora_alpha").asDouble() / s.rank());
  }

  private static List<ReferencePeft.Module> exchangedRows(
      List<ReferencePeft.Module> modules, JsonNode config) {
    return modules.stream().map(StoreFileMutants::exchanged).toList();
  }

  private static ReferencePeft.Module exchanged(ReferencePeft.Module module) {
    List<byte[]> b = new ArrayList<>(module.b());
    Collections.swap(b, 0, b.size() - 1);
    return new ReferencePeft.Module(module.spec(), module.a(), b);
  }

  private static List<ReferencePeft.Module> exchangedBlocks(
      List<ReferencePeft.Module> modules, JsonNode config) {
    return modules.stream().map(m -> m.spec().bBlocks() > 1 ? exchanged(m) : m).toList();
  }

  /** Takes what it should reject for an adapter of one module without effect. */
  private static final class Accepts extends ReferenceStore {
    private final String what;

    Accepts(StoreConfig config, String what) {
      super(config);
      this.what = what;
    }

    @Override
    List<ReferencePeft.Module> read(Path path) {
      try {
        return super.read(path);
      } catch (LorikeetException e) {
        if (!String.valueOf(e.getMessage()).contains(what)) {
          throw e;
        }
        TargetSpec spec =
            TargetSpec.builder(TargetModule.of(0, Projection.Q))
                .rank(1)
                .inFeatures(32)
                .outFeatures(32)
                .scaling(1f)
                .type(ElementType.F32)
                .build();
        return List.of(
            new ReferencePeft.Module(spec, List.of(new byte[128]), List.of(new byte[128])));
      }
    }
  }

  private static final class ForgetsOnError extends ReferenceStore {
    ForgetsOnError(StoreConfig config) {
      super(config);
    }

    @Override
    public synchronized AdapterSpec register(AdapterSource source) {
      try {
        return super.register(source);
      } catch (LorikeetException e) {
        unregister(source.id());
        throw e;
      }
    }
  }

  private static final class LeaksOnError extends ReferenceStore {
    private final PagePool pool;

    LeaksOnError(StoreConfig config) {
      super(config);
      pool = config.pool();
    }

    @Override
    public synchronized AdapterSpec register(AdapterSource source) {
      try {
        return super.register(source);
      } catch (LorikeetException e) {
        if (e.code() == Code.ADAPTER_INVALID) {
          pool.allocate(PageOwner.ADAPTER, new int[1], 0, 1);
        }
        throw e;
      }
    }
  }

  private static final class WrongType extends ReferenceStore {
    WrongType(StoreConfig config) {
      super(config);
    }

    @Override
    List<ReferencePeft.Module> read(Path path) {
      try {
        return super.read(path);
      } catch (LorikeetException e) {
        throw new IllegalArgumentException(e.getMessage(), e);
      }
    }
  }

  private static final class NoCapacity extends ReferenceStore {
    NoCapacity(StoreConfig config) {
      super(config);
    }

    @Override
    int capacity() {
      return Integer.MAX_VALUE;
    }
  }
}
