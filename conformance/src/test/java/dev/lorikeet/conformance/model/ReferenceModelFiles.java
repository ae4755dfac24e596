package dev.lorikeet.conformance.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Reads the model directories that the suite writes. */
record ReferenceModelFiles(ModelInfo info, PlainTransformer transformer) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static ModelInfo describe(Path directory) {
    JsonNode config = json(TinyModel.CONFIG, bytes(directory, TinyModel.CONFIG));
    String family = config.path("model_type").asText();
    if (!family.equals("llama")) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED, TinyModel.CONFIG + ": model_type " + family);
    }
    ModelShape shape;
    try {
      shape =
          ModelShape.builder()
              .layers(number(config, "num_hidden_layers"))
              .hidden(number(config, "hidden_size"))
              .intermediate(number(config, "intermediate_size"))
              .heads(number(config, "num_attention_heads"))
              .kvHeads(number(config, "num_key_value_heads"))
              .headDim(number(config, "head_dim"))
              .vocabulary(number(config, "vocab_size"))
              .build();
    } catch (IllegalArgumentException e) {
      throw invalid(TinyModel.CONFIG, "num_key_value_heads: " + e.getMessage());
    }
    Set<Integer> eos = new HashSet<>();
    JsonNode ids = config.path("eos_token_id");
    if (ids.isArray()) {
      ids.forEach(id -> eos.add(id.asInt()));
    } else {
      eos.add(ids.asInt());
    }
    return ModelInfo.builder(directory, family, shape)
        .weightType("F32")
        .maxPositions(number(config, "max_position_embeddings"))
        .eosTokens(eos)
        .build();
  }

  static ReferenceModelFiles read(Path directory) {
    ModelInfo info = describe(directory);
    json(TinyModel.TOKENIZER, bytes(directory, TinyModel.TOKENIZER));
    return new ReferenceModelFiles(
        info, new Weights(bytes(directory, TinyModel.WEIGHTS)).transformer(info.shape()));
  }

  private static LorikeetException invalid(String file, String what) {
    return new LorikeetException(Code.MODEL_INVALID, file + ": " + what);
  }

  private static byte[] bytes(Path directory, String name) {
    try {
      return Files.readAllBytes(directory.resolve(name));
    } catch (IOException e) {
      throw invalid(name, "cannot be read: " + e);
    }
  }

  private static JsonNode json(String file, byte[] bytes) {
    try {
      JsonNode node = JSON.readTree(bytes);
      if (node == null || !node.isObject()) {
        throw invalid(file, "expected a JSON object");
      }
      return node;
    } catch (JsonProcessingException e) {
      throw invalid(file, "not JSON: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw invalid(file, "cannot be read: " + e);
    }
  }

  private static int number(JsonNode config, String key) {
    JsonNode node = config.path(key);
    if (!node.isInt() || node.asInt() < 1) {
      throw invalid(TinyModel.CONFIG, key + ": expected a positive number, found " + node);
    }
    return node.asInt();
  }

  private static final class Weights {
    private final JsonNode header;
    private final MemorySegment data;

    Weights(byte[] file) {
      long length =
          file.length < 8 ? -1 : ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
      if (length < 2 || length > file.length - 8) {
        throw invalid(TinyModel.WEIGHTS, "header length " + length);
      }
      byte[] head = new byte[(int) length];
      System.arraycopy(file, 8, head, 0, head.length);
      header = json(TinyModel.WEIGHTS, head);
      data = MemorySegment.ofArray(file).asSlice(8 + length);
    }

    float[][] matrix(String module, int rows, int columns) {
      String name = module + ".weight";
      JsonNode entry = header.path(name);
      long begin = entry.path("data_offsets").path(0).asLong(-1);
      long end = entry.path("data_offsets").path(1).asLong(-1);
      JsonNode shape = entry.path("shape");
      long elements = shape.path(0).asLong() * shape.path(1).asLong(1);
      if (begin < 0
          || end > data.byteSize()
          || end - begin != 4L * rows * columns
          || elements != (long) rows * columns) {
        throw invalid(
            TinyModel.WEIGHTS, name + ": expected [" + rows + ", " + columns + "], found " + entry);
      }
      MemorySegment slice = data.asSlice(begin, end - begin);
      float[][] matrix = new float[rows][columns];
      for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
          matrix[r][c] = ElementCodec.get(slice, ElementType.F32, (long) r * columns + c);
        }
      }
      return matrix;
    }

    PlainTransformer transformer(ModelShape shape) {
      List<Map<Projection, float[][]>> layers = new ArrayList<>();
      List<float[]> attentionNorms = new ArrayList<>();
      List<float[]> mlpNorms = new ArrayList<>();
      for (int layer = 0; layer < shape.layers(); layer++) {
        String prefix = "model.layers." + layer + ".";
        Map<Projection, float[][]> projections = new EnumMap<>(Projection.class);
        for (Projection p : Projection.ofLayer()) {
          projections.put(p, matrix(prefix + p.path(), shape.outFeatures(p), shape.inFeatures(p)));
        }
        layers.add(projections);
        attentionNorms.add(matrix(prefix + "input_layernorm", 1, shape.hidden())[0]);
        mlpNorms.add(matrix(prefix + "post_attention_layernorm", 1, shape.hidden())[0]);
      }
      return new PlainTransformer(
          shape,
          matrix("model.embed_tokens", shape.vocabulary(), shape.hidden()),
          layers,
          attentionNorms,
          mlpNorms,
          matrix("model.norm", 1, shape.hidden())[0],
          matrix("lm_head", shape.vocabulary(), shape.hidden()));
    }
  }
}
