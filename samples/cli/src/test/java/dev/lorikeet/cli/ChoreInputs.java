package dev.lorikeet.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.files.peft.PeftWriter;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What the chores read: two models of one layer, two adapters and their texts. */
final class ChoreInputs {
  static final List<String> EXPERTS = List.of("scripture", "jargon");
  static final int RANK = 256;
  private static final int WORDS = 400;

  private ChoreInputs() {}

  /** Writes all of it into a folder. */
  static void write(Path in) throws IOException {
    TinyModel tiny = TinyModel.extract();
    for (int turn = 0; turn < 2; turn++) {
      Path model = Files.createDirectories(in.resolve("model" + turn));
      for (Path file : Chores.files(tiny.base())) {
        Files.copy(file, model.resolve(file.getFileName().toString()));
      }
      Path config = model.resolve("config.json"); // one layer is enough, and takes less time
      Files.writeString(
          config,
          Files.readString(config)
              .replaceFirst("\"num_hidden_layers\": \\d+", "\"num_hidden_layers\": 1"));
      keepFirstLayer(model.resolve("model.safetensors"));
    }
    ModelShape shape =
        Plugins.discover().baseModel(Optional.empty()).describe(in.resolve("model0")).shape();
    Path weights = in.resolve("model1/model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    for (int i = bytes.length / 2; i < bytes.length; i += 2) {
      bytes[i] ^= 1;
    }
    Files.write(weights, bytes);
    Files.writeString(in.resolve("model1/generation_config.json"), "{\"eos_token_id\": [2]}");
    for (String name : EXPERTS) {
      List<String> words = List.of(Files.readString(tiny.trainingText(name)).split("\\s+"));
      Files.writeString(in.resolve(name + ".txt"), String.join(" ", words.subList(0, WORDS)));
      int width = shape.inFeatures(Projection.Q);
      LoraFactor factor = factor(RANK, width, 1e-7f * (1 + EXPERTS.indexOf(name)));
      new PeftWriter(shape, Optional.empty())
          .write(
              in.resolve(name),
              List.of(LoraWeights.of(TargetModule.of(0, Projection.Q), factor, factor, 2)));
    }
  }

  private static void keepFirstLayer(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    int data = 8 + Math.toIntExact(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
    SafetensorsWriter writer = new SafetensorsWriter();
    for (Map.Entry<String, JsonNode> tensor :
        new ObjectMapper().readTree(bytes, 8, data - 8).properties()) {
      if (!tensor.getKey().matches("__metadata__|.*\\.layers\\.[1-9]\\..*")) {
        List<Long> shape = new ArrayList<>();
        tensor.getValue().get("shape").forEach(size -> shape.add(size.asLong()));
        JsonNode offsets = tensor.getValue().get("data_offsets");
        byte[] elements =
            Arrays.copyOfRange(bytes, data + offsets.get(0).asInt(), data + offsets.get(1).asInt());
        writer.add(
            tensor.getKey(),
            StoredType.valueOf(tensor.getValue().get("dtype").asText()),
            shape,
            MemorySegment.ofArray(elements));
      }
    }
    writer.write(file);
  }

  static LoraFactor factor(int rank, int width, float step) {
    float[] elements = new float[rank * width];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = step * i;
    }
    return LoraFactor.contiguous(ElementType.F32, rank, width, 1, MemorySegment.ofArray(elements));
  }
}
