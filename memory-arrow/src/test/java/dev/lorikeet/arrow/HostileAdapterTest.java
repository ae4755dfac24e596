package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * A corpus of damaged, hostile and unsupported adapters: each is refused with its code and a
 * message that names what is wrong, and leaves the store and the pool as they were.
 */
class HostileAdapterTest {
  @TempDir Path directory;
  private PagePool pool;
  private AdapterStore store;
  private int cases;

  @BeforeEach
  void open() {
    pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, 4096));
    store = new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool));
    store.register(new AdapterSource("good", HostileCase.sound().write(directory.resolve("good"))));
    store.acquire("good").close();
  }

  @AfterEach
  void close() throws IOException {
    assertEquals(List.of(), openFiles());
    store.close();
    pool.close();
  }

  /** Returns the files below the test's directory that this process holds open, on Linux. */
  private List<Path> openFiles() throws IOException {
    Path descriptors = Path.of("/proc/self/fd");
    if (!Files.isDirectory(descriptors)) {
      return List.of();
    }
    Path real = directory.toRealPath();
    try (Stream<Path> all = Files.list(descriptors)) {
      return all.filter(Files::isSymbolicLink)
          .map(
              link -> {
                try {
                  return Files.readSymbolicLink(link);
                } catch (IOException e) {
                  return link; // closed meanwhile
                }
              })
          .filter(path -> path.startsWith(real))
          .toList();
    }
  }

  @TestFactory
  Stream<DynamicTest> everyHostileAdapterIsRefusedWithItsReasonAndLeavesNothing() {
    return Stream.of(
            HostileConfigurations.cases(),
            HostileHeaders.cases(),
            HostileTensors.cases(),
            HostileFiles.cases())
        .flatMap(List::stream)
        .map(each -> DynamicTest.dynamicTest(each.name(), () -> check(each)));
  }

  private void check(HostileCase each) throws IOException {
    PeftWriter writer = HostileCase.sound();
    each.change().apply(writer);
    Path adapter = writer.write(directory.resolve("case-" + cases++));
    each.damage().apply(adapter, writer);
    PoolStats before = pool.stats();
    var thrown =
        assertThrows(
            LorikeetException.class, () -> store.register(new AdapterSource("hostile", adapter)));
    assertEquals(each.code(), thrown.code(), thrown.getMessage());
    Expect.mentions(thrown, each.parts().toArray(String[]::new));
    assertEquals(before, pool.stats());
    assertEquals(1, store.stats().registered());
    assertEquals(Set.of("good"), Set.of(store.list().getFirst().id()));
  }

  @TestFactory
  Stream<DynamicTest> harmlessVariationsAreAccepted() {
    Map<String, String> keys =
        Map.ofEntries(
            Map.entry("lora_alpha", "12.5"),
            Map.entry("auto_mapping", "{\"base_model_class\":\"X\",\"unsloth_fixed\":true}"),
            Map.entry("base_model_name_or_path", "\"some/model\""),
            Map.entry("eva_config", "{\"rho\":2.0}"),
            Map.entry("corda_config", "{\"verbose\":true}"),
            Map.entry("loftq_config", "{\"loftq_bits\":4}"),
            Map.entry("megatron_core", "\"megatron.core\""),
            Map.entry("fan_in_fan_out", "true"),
            Map.entry("init_lora_weights", "\"eva\""),
            Map.entry("layers_to_transform", "[0,1]"),
            Map.entry("layers_pattern", "\"layers\""),
            Map.entry("modules_to_save", "[]"),
            Map.entry("use_dora", "false"),
            Map.entry("lora_bias", "false"),
            Map.entry("some_future_key", "\"on\""),
            Map.entry("another_future_key", "{\"a\": [1, 2]}"),
            Map.entry("bias", "\"all\""),
            Map.entry("qalora_group_size", "16"),
            Map.entry("exclude_modules", "\".*vision.*\""),
            Map.entry(
                "target_modules", "\"model\\\\.layers\\\\.\\\\d+\\\\..*\\\\.(q|down)_proj\""));
    return keys.entrySet().stream()
        .map(
            key ->
                DynamicTest.dynamicTest(
                    key.getKey() + " = " + key.getValue(),
                    () -> {
                      PeftWriter writer = HostileCase.sound();
                      writer.config.set(key.getKey(), new ObjectMapper().readTree(key.getValue()));
                      Path path = writer.write(directory.resolve("fine-" + cases++));
                      assertEquals(
                          4, store.register(new AdapterSource("fine", path)).targets().size());
                    }));
  }
}
