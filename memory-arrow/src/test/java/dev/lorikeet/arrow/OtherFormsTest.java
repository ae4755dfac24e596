package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters as other tools than PEFT write them give the weights that PEFT's form of them gives. */
class OtherFormsTest {
  @TempDir Path directory;

  private final long seed = Long.getLong("lorikeet.seed", new Random().nextLong());
  private final Random random = new Random(seed);
  private final PagePool pool = new ArrowPagePoolProvider().open(PoolConfig.of(1 << 20, 4096));
  private final AdapterStore store =
      new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool));

  @AfterEach
  void close() {
    store.close();
    pool.close();
  }

  private PeftWriter writer(String dtype) {
    return PeftWriter.of(
        PeftWriter.SHAPE,
        5,
        dtype,
        EnumSet.of(Projection.Q, Projection.V, Projection.DOWN),
        random);
  }

  private AdapterSpec register(String id, Path path) {
    return store.register(new AdapterSource(id, path));
  }

  private void assertServesTheSame(AdapterSpec expected, AdapterSpec found) {
    assertEquals(expected.targets(), found.targets(), "seed " + seed);
    try (AdapterLease peft = store.acquire(expected.id());
        AdapterLease other = store.acquire(found.id())) {
      for (TargetSpec target : expected.targets()) {
        LoraWeights e = peft.weights(target.target()).orElseThrow();
        LoraWeights f = other.weights(target.target()).orElseThrow();
        for (int r = 0; r < target.rank(); r++) {
          assertArrayEquals(row(e.a(), r), row(f.a(), r), () -> "A of " + target + " " + seed);
          assertArrayEquals(row(e.b(), r), row(f.b(), r), () -> "B of " + target + " " + seed);
        }
      }
    }
  }

  private static byte[] row(LoraFactor factor, int row) {
    long bytes = (long) factor.rowLength() * factor.type().bytes();
    return factor.memory().asSlice(factor.rowOffset(row), bytes).toArray(ValueLayout.JAVA_BYTE);
  }

  @Test
  void mlxHasBothFactorsTheOtherWayRoundAndTheScalingAsItIs() throws IOException {
    for (String dtype : List.of("F32", "BF16", "F16")) {
      PeftWriter peft = writer(dtype);
      PeftWriter mlx = new PeftWriter(PeftWriter.SHAPE);
      mlx.config.removeAll();
      mlx.config.put("fine_tune_type", "lora").put("num_layers", 2).put("model", "some/model");
      mlx.config.putObject("lora_parameters").put("rank", 5).put("scale", 2.0).put("dropout", 0.0);
      peft.tensors.forEach(
          (name, tensor) ->
              mlx.tensors.put(
                  name.replace("base_model.model.", "")
                      .replace("lora_A.weight", "lora_a")
                      .replace("lora_B.weight", "lora_b"),
                  transposed(tensor)));
      Path folder = mlx.write(directory.resolve("mlx-" + dtype));
      Files.move(
          folder.resolve("adapter_model.safetensors"), folder.resolve("adapters.safetensors"));
      AdapterSpec expected = register("peft", peft.write(directory.resolve("peft-" + dtype)));
      assertServesTheSame(expected, register("mlx", folder));
      assertEquals("some/model", AdapterFiles.describe(folder).baseModel().orElseThrow());
    }
  }

  private static PeftWriter.Tensor transposed(PeftWriter.Tensor tensor) {
    int rows = tensor.shape.getFirst().intValue();
    int columns = tensor.shape.getLast().intValue();
    int size = ElementType.valueOf(tensor.dtype).bytes();
    byte[] data = new byte[tensor.data.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        System.arraycopy(tensor.data, (r * columns + c) * size, data, (c * rows + r) * size, size);
      }
    }
    return new PeftWriter.Tensor(tensor.dtype, List.of((long) columns, (long) rows), data);
  }

  @Test
  void mlxIsRefusedWithItsKeyWhereItIsSomethingElse() throws IOException {
    Map<String, String> wrong =
        Map.of(
            "{\"fine_tune_type\":\"full\"}", "fine_tune_type",
            "{\"lora_parameters\":{\"rank\":5}}", "lora_parameters.scale",
            "{\"lora_parameters\":{\"rank\":5,\"scale\":0}}", "lora_parameters.scale",
            "{\"lora_parameters\":{\"scale\":1}}", "[24, 24]");
    int number = 0;
    for (Map.Entry<String, String> each : wrong.entrySet()) {
      PeftWriter mlx = new PeftWriter(PeftWriter.SHAPE);
      mlx.tensors.put(
          "model.layers.0.self_attn.q_proj.lora_a", PeftWriter.random("F32", 5, 24, random));
      mlx.tensors.put(
          "model.layers.0.self_attn.q_proj.lora_b", PeftWriter.random("F32", 5, 24, random));
      Path folder = mlx.write(directory.resolve("wrong" + number++));
      Files.writeString(folder.resolve("adapter_config.json"), each.getKey());
      Files.move(
          folder.resolve("adapter_model.safetensors"), folder.resolve("adapters.safetensors"));
      LorikeetException refused =
          assertThrows(LorikeetException.class, () -> register("wrong", folder));
      assertTrue(
          String.valueOf(refused.getMessage()).contains(each.getValue()), refused.getMessage());
    }
    assertTrue(store.list().isEmpty());
  }

  @Test
  void weightsInSeveralFilesAreOneAdapter() throws IOException {
    PeftWriter whole = writer("BF16");
    AdapterSpec expected = register("whole", whole.write(directory.resolve("whole")));
    Path folder = shards(whole, "sharded", 3, name -> name);
    assertServesTheSame(expected, register("sharded", folder));
  }

  private interface Renaming {
    String rename(String file);
  }

  private Path shards(PeftWriter whole, String name, int count, Renaming renaming)
      throws IOException {
    Path folder = whole.write(directory.resolve(name));
    Files.delete(folder.resolve("adapter_model.safetensors"));
    List<String> index = new ArrayList<>();
    for (int shard = 0; shard < count; shard++) {
      PeftWriter part = new PeftWriter(PeftWriter.SHAPE);
      String file = "adapter_model-0000" + (shard + 1) + "-of-0000" + count + ".safetensors";
      int at = 0;
      for (Map.Entry<String, PeftWriter.Tensor> tensor : whole.tensors.entrySet()) {
        if (at++ % count == shard) {
          part.tensors.put(tensor.getKey(), tensor.getValue());
          index.add('"' + tensor.getKey() + "\":\"" + renaming.rename(file) + '"');
        }
      }
      Files.write(folder.resolve(file), part.weights());
    }
    Files.writeString(
        folder.resolve("adapter_model.safetensors.index.json"),
        "{\"metadata\":{},\"weight_map\":{" + String.join(",", index) + "}}");
    return folder;
  }

  @Test
  void anIndexMayNotLeadOutOfTheFolderNorToNothing() throws IOException {
    PeftWriter whole = writer("F32");
    for (Renaming renaming :
        List.<Renaming>of(
            file -> "../" + file, file -> "x" + file, file -> "adapter_config.json")) {
      Path folder = shards(whole, "bad" + random.nextInt(1 << 30), 2, renaming);
      LorikeetException refused =
          assertThrows(LorikeetException.class, () -> register("bad", folder));
      assertEquals(Code.ADAPTER_INVALID, refused.code(), refused.getMessage());
    }
    Path twice = shards(whole, "twice", 2, file -> file);
    Files.copy(
        twice.resolve("adapter_model-00001-of-00002.safetensors"),
        twice.resolve("adapter_model-00002-of-00002.safetensors"),
        StandardCopyOption.REPLACE_EXISTING);
    LorikeetException refused =
        assertThrows(LorikeetException.class, () -> register("twice", twice));
    assertTrue(String.valueOf(refused.getMessage()).contains("found in two"), refused.getMessage());
  }
}
