package dev.lorikeet.arrow;

import static dev.lorikeet.arrow.ElementTypeTest.put;
import static dev.lorikeet.arrow.ElementTypeTest.source;
import static dev.lorikeet.arrow.ElementTypeTest.writer;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What stores refuse that keep adapters in a narrower type, and what they leave behind. */
class ElementTypeRefusalTest {
  private static final ModelShape SHAPE = PeftWriter.SHAPE;
  private static final int PAGE = 4096;

  @TempDir Path directory;
  private PagePool pool;

  @BeforeEach
  void open() {
    pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, PAGE));
  }

  @AfterEach
  void close() {
    assertEquals(0, pool.stats().usedPages());
    pool.close();
  }

  private static AdapterStore store(ModelShape shape, PagePool pool, String elementType) {
    return ElementTypeTest.store(shape, pool, elementType);
  }

  private AdapterStore store(String elementType) {
    return store(SHAPE, pool, elementType);
  }

  @Test
  void whatFitsOnlyWhenNarrowedIsRegisteredOnlyThen() {
    Path high =
        PeftWriter.of(SHAPE, 32, "F32", EnumSet.of(Projection.Q), new Random(2))
            .write(directory.resolve("high")); // 12,288 bytes: three pages as stored
    try (PagePool small = new ArrowPagePoolProvider().open(PoolConfig.of(2 * PAGE, PAGE));
        AdapterStore as = store(SHAPE, small, "stored");
        AdapterStore narrow = store(SHAPE, small, "f16")) {
      var thrown = assertThrows(LorikeetException.class, () -> as.register(source(high)));
      assertEquals(Code.TOO_LARGE, thrown.code());
      narrow.register(source(high));
      narrow.acquire("a").close();
    }
  }

  @Test
  void weightsBeyondTheRangeAreRefusedByTensorValueAndPlace() {
    float beyondBf16 = Float.intBitsToFloat(0x7F7F_8000);
    refused(
        "f16",
        'A',
        31,
        65_520f,
        "lora_A",
        "F16 can hold, up to 65504.0",
        "65520.0",
        "row 1, column 7");
    refused("f16", 'B', 31, -1e9f, "lora_B", "F16 can hold", "-1.0E9", "row 5, column 1");
    refused("bf16", 'A', 31, beyondBf16, "lora_A", "BF16 can hold", "3.39", "row 1, column 7");
    refused(
        "bf16", 'B', 31, Float.NaN, "lora_B", "expected finite", "found NaN", "row 5, column 1");
    refused(
        "bf16", 'A', 0, Float.NEGATIVE_INFINITY, "lora_A", "found -Infinity", "row 0, column 0");
    refused(
        "f16",
        'A',
        143,
        Float.intBitsToFloat(0x7F80_0001),
        "lora_A",
        "found NaN",
        "row 5, column 23");
    refused("bf16", 'A', 143, Float.intBitsToFloat(-1), "lora_A", "found NaN", "row 5, column 23");
  }

  private void refused(String option, char factor, int index, float value, String... mentioned) {
    var writer = writer("F32");
    Path sound = writer.write(directory.resolve("sound"));
    put(writer.tensor(1, Projection.Q, factor), index, value);
    Path peft = writer.write(directory.resolve("bad"));
    try (AdapterStore store = store(option)) {
      AdapterSpec before = store.register(source(sound));
      var thrown = assertThrows(LorikeetException.class, () -> store.register(source(peft)));
      assertEquals(Code.ADAPTER_INVALID, thrown.code());
      Expect.mentions(thrown, "bad", "adapter_model.safetensors", "layers.1.self_attn.q_proj");
      Expect.mentions(thrown, mentioned);
      assertEquals(0, pool.stats().usedPages());
      assertEquals(List.of(before), store.list());
      store.acquire("a").close();
    }
  }

  @Test
  void inArrowFilesTheyAreRefusedToo() {
    var writer = writer("F32");
    put(writer.tensor(1, Projection.Q, 'B'), 31, 70_000f); // output 5, row 1 of the factor
    Path arrow = directory.resolve("large.arrow");
    AdapterFiles.convert(writer.write(directory.resolve("large")), SHAPE, arrow);
    try (AdapterStore store = store("f16")) {
      var thrown = assertThrows(LorikeetException.class, () -> store.register(source(arrow)));
      Expect.mentions(thrown, "large.arrow", "lora_B", "70000.0", "row 1, column 5");
      assertTrue(store.list().isEmpty());
    }
    try (AdapterStore store = store("bf16")) {
      store.register(source(arrow));
      store.acquire("a").close();
    }
  }

  @Test
  void weightsThatLeaveTheRangeAfterRegistrationLeaveNoPagesBehind() throws IOException {
    var writer = writer("F32");
    Path peft = writer.write(directory.resolve("a"));
    try (AdapterStore store = store("f16")) {
      store.register(source(peft));
      put(writer.tensor(1, Projection.DOWN, 'B'), 10, 1e6f);
      Files.write(peft.resolve("adapter_model.safetensors"), writer.weights());
      var thrown = assertThrows(LorikeetException.class, () -> store.acquire("a"));
      assertEquals(Code.ADAPTER_INVALID, thrown.code());
      assertEquals(0, pool.stats().usedPages());
    }
  }

  @Test
  void anAdapterThatWasSavedNarrowerSinceIsAnotherOne() throws IOException {
    Path peft = writer("F32").write(directory.resolve("a"));
    try (AdapterStore store = store("bf16")) {
      AdapterSpec spec = store.register(source(peft));
      Path narrower = writer("BF16").write(directory.resolve("narrower"));
      for (String file : List.of("adapter_model.safetensors", "adapter_config.json")) {
        Files.write(peft.resolve(file), Files.readAllBytes(narrower.resolve(file)));
      }
      var thrown = assertThrows(LorikeetException.class, () -> store.acquire("a"));
      assertEquals(Code.ADAPTER_INVALID, thrown.code());
      Expect.mentions(thrown, "register it again");
      assertEquals(0, pool.stats().usedPages());
      assertEquals(spec.targets(), store.register(source(peft)).targets());
      store.acquire("a").close();
    }
  }

  @Test
  void unknownTypesAreRefusedByName() {
    for (String wrong : List.of("BF16", "f32", "int8", "")) {
      var thrown = assertThrows(IllegalArgumentException.class, () -> store(wrong));
      Expect.mentions(
          thrown,
          "adapter store plugin 'arrow'",
          "'element-type'",
          "stored, bf16, f16",
          "'" + wrong + "'");
    }
  }
}
