package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters whose configuration covers more modules than there are weights for. */
class MissingModulesTest {
  private static final ModelShape SHAPE = PeftWriter.SHAPE;
  private static final EnumSet<Projection> ALL = EnumSet.copyOf(Projection.ofLayer());

  @TempDir Path directory;

  /** Takes the warnings that are logged while something is done. */
  private static List<String> warnings(Runnable action) {
    List<String> messages = new ArrayList<>();
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord message) {
            messages.add(new SimpleFormatter().formatMessage(message));
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger logger = Logger.getLogger("dev.lorikeet.files.peft");
    logger.addHandler(handler);
    try {
      action.run();
      return messages;
    } finally {
      logger.removeHandler(handler);
    }
  }

  private static List<TargetModule> register(Path adapter, Map<String, String> options) {
    try (PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, 4096));
        AdapterStore store =
            new ArrowAdapterStoreProvider()
                .open(StoreConfig.of(SHAPE, pool).withOptions(options))) {
      return store.register(new AdapterSource("a", adapter)).targets().stream()
          .map(TargetSpec::target)
          .toList();
    }
  }

  /** Registers, and expects these modules and a warning, or where it is strict, a refusal. */
  private void expect(List<TargetModule> expected, int missing, PeftWriter writer) {
    Path adapter = writer.write(directory.resolve("adapter"));
    List<String> warnings =
        warnings(() -> assertEquals(expected, register(adapter, Map.of("strict", "false"))));
    assertEquals(1, warnings.size(), warnings::toString);
    String counted = missing + " of " + (missing + expected.size()) + " modules";
    assertTrue(warnings.getFirst().contains(counted), warnings::toString);
    var refusal =
        assertThrows(LorikeetException.class, () -> register(adapter, Map.of("strict", "true")));
    assertEquals(Code.ADAPTER_INVALID, refusal.code());
    Expect.mentions(refusal, "lora_A.weight", "found none");
  }

  private static PeftWriter writer() {
    return PeftWriter.of(SHAPE, 4, "F32", ALL, new Random(1));
  }

  private static void remove(PeftWriter writer, int layer, Projection projection) {
    writer.tensors.remove(PeftWriter.name(layer, projection, 'A'));
    writer.tensors.remove(PeftWriter.name(layer, projection, 'B'));
  }

  @Test
  void aWholeLayerMayBeMissing() {
    PeftWriter writer = writer();
    ALL.forEach(projection -> remove(writer, 0, projection));
    expect(Projection.ofLayer().stream().map(p -> TargetModule.of(1, p)).toList(), 7, writer);
  }

  @Test
  void twoOfSevenProjectionsMayBeMissing() {
    PeftWriter writer = writer();
    List<TargetModule> expected = new ArrayList<>();
    for (int layer = 0; layer < SHAPE.layers(); layer++) {
      remove(writer, layer, Projection.GATE);
      remove(writer, layer, Projection.O);
      for (Projection projection : Projection.ofLayer()) {
        if (projection != Projection.GATE && projection != Projection.O) {
          expected.add(TargetModule.of(layer, projection));
        }
      }
    }
    expect(expected, 4, writer);
  }

  @Test
  void aWholeAdapterIsNoWarning() {
    Path adapter = writer().write(directory.resolve("adapter"));
    assertEquals(List.of(), warnings(() -> register(adapter, Map.of("strict", "true"))));
  }

  @Test
  void weightsOfNothingButOtherModulesAreAnError() {
    PeftWriter writer = writer();
    writer.config.put("target_modules", "model.nothing");
    Path adapter = writer.write(directory.resolve("adapter"));
    var refusal = assertThrows(LorikeetException.class, () -> register(adapter, Map.of()));
    assertEquals(Code.ADAPTER_INVALID, refusal.code());
  }
}
