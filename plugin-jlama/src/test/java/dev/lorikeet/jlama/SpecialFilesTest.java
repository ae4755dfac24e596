package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.router.GateRouterProvider;
import dev.lorikeet.host.router.RulesRouterProvider;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Pipes, devices and folders in place of files, and files that only seem large: none is read. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SpecialFilesTest {
  @TempDir Path directory;
  private Path model;

  @BeforeEach
  void write() {
    model = random().write(directory.resolve("model"));
  }

  private static RandomModel random() {
    return RandomModel.llama(3).widths(32, 64).layers(1).type(ElementType.BF16);
  }

  /** Puts something into the place of a file. */
  private interface Special {
    void put(Path file) throws Exception;
  }

  private static void pipe(Path file) throws Exception {
    assumeTrue(new ProcessBuilder("mkfifo", file.toString()).start().waitFor() == 0);
  }

  private static final Map<String, Special> SPECIAL =
      Map.of(
          "a pipe", SpecialFilesTest::pipe,
          "a device", file -> Files.createSymbolicLink(file, Path.of("/dev/zero")),
          "a folder", Files::createDirectory);

  private Stream<DynamicTest> each(List<String> names, java.util.function.Consumer<Path> refusal) {
    return names.stream()
        .flatMap(
            name ->
                SPECIAL.entrySet().stream()
                    .map(
                        special ->
                            DynamicTest.dynamicTest(
                                name + " is " + special.getKey(),
                                () -> {
                                  Path file = model.resolve(name);
                                  boolean there = Files.exists(file);
                                  byte[] before = there ? Files.readAllBytes(file) : new byte[0];
                                  Files.deleteIfExists(file);
                                  special.getValue().put(file);
                                  refusal.accept(file);
                                  Files.delete(file);
                                  if (there) {
                                    Files.write(file, before);
                                  }
                                })));
  }

  @TestFactory
  Stream<DynamicTest> noFileOfAModelIsOpenedThatIsNone() {
    return each(
        List.of(
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "model.safetensors"),
        file ->
            assertRefused(
                Code.MODEL_INVALID, file, () -> Lorikeet.builder(model).poolBytes(4 << 20).open()));
  }

  @TestFactory
  Stream<DynamicTest> noFileOfASplitModelIsOpenedThatIsNone() {
    model = random().shards(2).write(directory.resolve("sharded"));
    return each(
        List.of("model.safetensors.index.json", "model-00002-of-00002.safetensors"),
        file ->
            assertRefused(
                Code.MODEL_INVALID, file, () -> Lorikeet.builder(model).poolBytes(4 << 20).open()));
  }

  @TestFactory
  Stream<DynamicTest> noFileOfAnAdapterIsOpenedThatIsNone() throws IOException {
    var shape = new JlamaModelProvider().describe(model).shape();
    Path adapter =
        dev.lorikeet.jlama.lora.PeftAdapterWriter.write(model.resolve("adapter"), 1, 4, shape);
    return each(
        List.of("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "a.arrow"),
        file -> {
          boolean arrow = file.toString().endsWith(".arrow");
          try (Lorikeet lorikeet = Lorikeet.builder(model).poolBytes(4 << 20).open()) {
            var error =
                assertThrows(
                    LorikeetException.class, () -> lorikeet.register("a", arrow ? file : adapter));
            assertEquals(Code.ADAPTER_INVALID, error.code());
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> noFileOfARouterIsOpenedThatIsNone() throws IOException {
    Path gate = Files.createDirectory(model.resolve("gate"));
    gate(gate, 1, 32);
    return Stream.concat(
        each(
            List.of("gate/router.json", "gate/router.safetensors"),
            file ->
                assertRefused(
                    Code.ROUTER_FAILED, file, () -> open(new GateRouterProvider(), "path", gate))),
        each(
            List.of("rules.json"),
            file ->
                assertThrows(
                    RuntimeException.class, () -> open(new RulesRouterProvider(), "file", file))));
  }

  private void open(RouterProvider provider, String option, Path path) {
    provider.open(
        RouterConfig.of(new JlamaModelProvider().describe(model))
            .withOptions(Map.of(option, path.toString())));
  }

  private static void assertRefused(
      Code code, Path file, org.junit.jupiter.api.function.Executable action) {
    var error = assertThrows(LorikeetException.class, action);
    assertEquals(code, error.code(), error.getMessage());
    assertTrue(String.valueOf(error.getMessage()).contains(file.toString()), error.getMessage());
  }

  @Test
  void aGateThatOnlySeemsLargeIsRefusedByItsSize() throws IOException {
    Path gate = Files.createDirectory(directory.resolve("gate"));
    gate(gate, 480, 1 << 20);
    assertRefused(
        Code.ROUTER_FAILED,
        gate.resolve("router.safetensors"),
        () -> open(new GateRouterProvider(), "path", gate));
  }

  /** Writes a gate of zeros as a sparse file. */
  private static void gate(Path directory, int experts, int inner) throws IOException {
    String names =
        String.join(
            "\",\"", Stream.iterate(0, i -> i + 1).limit(experts).map(i -> "e" + i).toList());
    Files.writeString(
        directory.resolve("router.json"),
        """
        {"format": "lorikeet-gate", "version": 1, "scope": "token", "experts": ["%s"], "top_k": 1,
         "context": "none", "hidden_size": 32, "inner_size": %d}
        """
            .formatted(names, inner));
    long[] ends = {0, 2L * experts * inner, 2L * experts, 64L * inner, 2L * inner};
    for (int i = 1; i < ends.length; i++) {
      ends[i] += ends[i - 1];
    }
    String header =
        """
        {"gate.weight":{"dtype":"BF16","shape":[%d,%d],"data_offsets":[%d,%d]},
        "gate.bias":{"dtype":"BF16","shape":[%d],"data_offsets":[%d,%d]},
        "inner.weight":{"dtype":"BF16","shape":[%d,32],"data_offsets":[%d,%d]},
        "inner.bias":{"dtype":"BF16","shape":[%d],"data_offsets":[%d,%d]}}"""
            .formatted(
                experts, inner, ends[0], ends[1], experts, ends[1], ends[2], inner, ends[2],
                ends[3], inner, ends[3], ends[4]);
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    try (RandomAccessFile file =
        new RandomAccessFile(directory.resolve("router.safetensors").toFile(), "rw")) {
      file.write(
          ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      file.write(text);
      file.setLength(8 + text.length + ends[4]);
    }
  }
}
