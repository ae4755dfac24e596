package dev.lorikeet.arrow;

import static dev.lorikeet.LorikeetException.Code.ADAPTER_INVALID;
import static dev.lorikeet.LorikeetException.Code.ADAPTER_UNSUPPORTED;
import static dev.lorikeet.arrow.HostileCase.WEIGHTS;
import static dev.lorikeet.arrow.HostileCase.tensors;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.shape.Projection;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;

/** Tensors that do not fit, and weights that are no numbers. */
final class HostileTensors {
  private static final String Q_A = "model.layers.0.self_attn.q_proj.lora_A.weight";

  private HostileTensors() {}

  static List<HostileCase> cases() {
    return List.of(
        tensors(
            "a tensor is missing",
            ADAPTER_INVALID,
            w -> w.tensors.remove(PeftWriter.name(1, Projection.Q, 'B')),
            WEIGHTS,
            "layers.1.self_attn.q_proj.lora_A.weight",
            "lora_B"),
        tensors(
            "a layer too many",
            ADAPTER_INVALID,
            w -> w.add(2, Projection.Q, 4, 1, 1, "F32", new Random(1)),
            "layers.2.self_attn.q_proj",
            "0 to 1"),
        tensors(
            "a module too many",
            ADAPTER_INVALID,
            w -> w.add(0, Projection.K, 4, 1, 1, "F32", new Random(1)),
            "k_proj"),
        rename("an unknown module", Q_A, "model.layers.0.self_attn.qkv.lora_A.weight", "qkv"),
        rename("an unknown tensor", Q_A, "model.norm.weight", "model.norm.weight"),
        rename("a layer with a zero", Q_A, Q_A.replace(".0.", ".00."), "layers.00"),
        rename("a layer beyond int", Q_A, Q_A.replace(".0.", ".99999999999."), "layers.9999"),
        rename("a layer without number", Q_A, Q_A.replace(".0.", ".."), "layers.."),
        rename("another prefix", Q_A, "layers.0.self_attn.q_proj.lora_A.weight", "begins with"),
        rename("two adapters", Q_A, Q_A.replace("A.weight", "A.other.weight"), "other"),
        rename("a third factor", Q_A, Q_A.replace("lora_A", "lora_C"), "lora_C"),
        added(ADAPTER_INVALID, "lora_magnitude_vector.weight", "no magnitude"),
        added(ADAPTER_INVALID, "lora_embedding_A", "lora_embedding_A"),
        added(ADAPTER_INVALID, "lora_B.bias", "expected a vector"),
        added(ADAPTER_INVALID, "bias", "expected a vector"),
        added(ADAPTER_UNSUPPORTED, "modules_to_save.weight", "modules_to_save"),
        renameTo(ADAPTER_INVALID, "half of the output layer", "lm_head.lora_A.weight", "lora_B"),
        renameTo(
            ADAPTER_INVALID,
            "a linear layer for embeddings",
            "model.embed_tokens.lora_A.weight",
            "embed_tokens"),
        renameTo(ADAPTER_UNSUPPORTED, "a smaller output layer", "lm_head.weight", "[2, 2]"),
        renameTo(
            ADAPTER_INVALID,
            "trained tokens that nobody names",
            "model.embed_tokens.token_adapter.trainable_tokens_delta",
            "trainable_token_indices"),
        renameTo(ADAPTER_UNSUPPORTED, "a norm's bias", "model.norm.bias", "biases"),
        tensors(
            "double precision",
            ADAPTER_UNSUPPORTED,
            w -> {
              var a = w.tensor(0, Projection.Q, 'A');
              a.dtype = "F64";
              a.data = new byte[2 * a.data.length];
            },
            WEIGHTS,
            "F64"),
        weight("NaN in F32", "F32", 5, 0x7FC0_0000L),
        weight("signalling NaN in F32", "F32", 95, 0xFF80_0001L),
        weight("infinity in F32", "F32", 0, 0x7F80_0000L),
        weight("minus infinity in F32", "F32", 1, 0xFF80_0000L),
        weight("NaN in F16", "F16", 3, 0x7E00),
        weight("infinity in F16", "F16", 94, 0xFC00),
        weight("NaN in BF16", "BF16", 95, 0x7FC0),
        weight("infinity in BF16", "BF16", 2, 0x7F80));
  }

  private static HostileCase rename(String name, String from, String to, String part) {
    return tensors(
        name,
        ADAPTER_INVALID,
        w -> {
          var tensor = w.tensors.remove("base_model.model." + from);
          if (tensor == null) {
            throw new IllegalArgumentException(from);
          }
          w.tensors.put("base_model.model." + to, tensor);
        },
        WEIGHTS,
        part);
  }

  private static HostileCase added(LorikeetException.Code code, String suffix, String part) {
    return renameTo(code, suffix, "model.layers.0.self_attn.q_proj." + suffix, part);
  }

  private static HostileCase renameTo(
      LorikeetException.Code code, String name, String added, String part) {
    return tensors(
        name,
        code,
        w ->
            w.tensors.put(
                "base_model.model." + added, PeftWriter.random("F32", 2, 2, new Random())),
        WEIGHTS,
        part);
  }

  private static HostileCase weight(String name, String dtype, int element, long bits) {
    return tensors(
        name,
        ADAPTER_INVALID,
        writer -> {
          for (int layer = 0; layer < 2; layer++) {
            for (char factor : new char[] {'A', 'B'}) {
              for (Projection projection : List.of(Projection.Q, Projection.DOWN)) {
                var old = writer.tensor(layer, projection, factor);
                int rows = old.shape.get(0).intValue();
                int columns = old.shape.get(1).intValue();
                writer.tensors.put(
                    PeftWriter.name(layer, projection, factor),
                    PeftWriter.random(dtype, rows, columns, new Random(3)));
              }
            }
          }
          var last = writer.tensor(1, Projection.DOWN, 'B');
          ByteBuffer data = ByteBuffer.wrap(last.data).order(ByteOrder.LITTLE_ENDIAN);
          if (dtype.equals("F32")) {
            data.putInt(4 * element, (int) bits);
          } else {
            data.putShort(2 * element, (short) bits);
          }
        },
        WEIGHTS,
        "lora_B",
        "model.layers.1.mlp.down_proj",
        "finite");
  }
}
