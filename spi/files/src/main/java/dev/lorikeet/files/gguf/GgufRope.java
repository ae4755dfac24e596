package dev.lorikeet.files.gguf;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.safetensors.StoredType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.List;
import java.util.OptionalDouble;

/**
 * How a model stretches its rotary frequencies, as Hugging Face says it. Files have a divisor for
 * each frequency as a tensor: one set where Llama 3's rule was applied when the file was made, two
 * for LongRoPE.
 *
 * @param header of the file
 * @param architecture what keys begin with
 * @param config what is known of the model already
 * @param rotated how many elements of a head are rotated
 */
record GgufRope(GgufHeader header, String architecture, ObjectNode config, int rotated) {
  private static final double MAX_FACTOR = 1e6;
  private static final String FACTORS = "rope_freqs.weight";
  private static final String SHORT = "rope_factors_short.weight";
  private static final String LONG = "rope_factors_long.weight";

  ObjectNode read() {
    GgufMetadata metadata = header.metadata();
    ObjectNode rope = JsonNodeFactory.instance.objectNode();
    int positions = config.path("max_position_embeddings").intValue();
    int original =
        metadata.integer(key("scaling.original_context_length"), 0, Integer.MAX_VALUE).orElse(0);
    if (has(SHORT) || has(LONG)) {
      rope.put("rope_type", "longrope");
      factors(rope, "short_factor", SHORT);
      factors(rope, "long_factor", LONG);
      config.put("original_max_position_embeddings", original > 0 ? original : positions);
      attentionFactor(1).ifPresent(factor -> rope.put("attention_factor", factor));
      return rope;
    }
    String type = metadata.text(key("scaling.type")).orElse("none");
    double factor =
        metadata
            .number(key("scaling.factor"), 0, MAX_FACTOR)
            .orElse(metadata.number(key("scale_linear"), 0, MAX_FACTOR).orElse(0));
    if (has(FACTORS)) {
      if (!type.equals("none") && factor > 1) {
        throw metadata.unsupported(
            key("scaling.type"), "none beside " + FACTORS, "'" + Faults.show(type) + "'");
      }
      rope.put("rope_type", "longrope").put("attention_factor", 1);
      factors(rope, "short_factor", FACTORS);
      factors(rope, "long_factor", FACTORS);
      config.put("original_max_position_embeddings", positions);
      return rope;
    }
    boolean stretches = factor > 1;
    switch (type) {
      case "none" -> rope.put("rope_type", "default");
      case "linear" -> linear(rope, stretches, factor);
      case "yarn" -> yarn(rope, stretches, factor, original);
      default ->
          throw metadata.unsupported(
              key("scaling.type"),
              "none, linear or yarn, or longrope with its tensors of factors",
              "'" + Faults.show(type) + "'");
    }
    return rope;
  }

  private static void linear(ObjectNode rope, boolean stretches, double factor) {
    rope.put("rope_type", stretches ? "linear" : "default");
    if (stretches) {
      rope.put("factor", factor);
    }
  }

  private void yarn(ObjectNode rope, boolean stretches, double factor, int original) {
    if (!stretches) {
      rope.put("rope_type", "default");
      return;
    }
    GgufMetadata metadata = header.metadata();
    if (original < 1) {
      throw metadata.missing(key("scaling.original_context_length"), "a whole number from 1 on");
    }
    rope.put("rope_type", "yarn").put("factor", factor);
    rope.put("original_max_position_embeddings", original);
    metadata
        .number(key("scaling.yarn_beta_fast"), 0, MAX_FACTOR)
        .ifPresent(beta -> rope.put("beta_fast", beta));
    metadata
        .number(key("scaling.yarn_beta_slow"), 0, MAX_FACTOR)
        .ifPresent(beta -> rope.put("beta_slow", beta));
    attentionFactor(1 + 0.1 * Math.log(factor))
        .ifPresent(scale -> rope.put("attention_factor", scale));
  }

  /** Returns the scale on rotated vectors, if the file states a factor of the usual one. */
  private OptionalDouble attentionFactor(double usual) {
    OptionalDouble stated = header.metadata().number(key("scaling.attn_factor"), 1e-6, MAX_FACTOR);
    return stated.isPresent()
        ? OptionalDouble.of(stated.getAsDouble() * usual)
        : OptionalDouble.empty();
  }

  private boolean has(String tensor) {
    return header.tensors().containsKey(tensor);
  }

  private String key(String name) {
    return architecture + ".rope." + name;
  }

  private void factors(ObjectNode rope, String as, String name) {
    GgufHeader.Tensor tensor = header.tensors().get(name);
    List<Long> expected = List.of(rotated / 2L);
    if (tensor == null || tensor.type() != StoredType.F32 || !tensor.shape().equals(expected)) {
      throw Faults.MODEL.invalid(
          header.where(name),
          "F32" + expected,
          tensor == null ? "nothing" : tensor.type().toString() + tensor.shape());
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(tensor.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = UntrustedFile.open(Faults.MODEL, header.file())) {
      UntrustedFile.readFully(Faults.MODEL, header.file(), channel, bytes, tensor.begin());
    } catch (IOException e) {
      throw Faults.MODEL.invalid(header.file(), "a readable file", e, e);
    }
    ArrayNode list = rope.putArray(as);
    for (int i = 0; i < rotated / 2; i++) {
      float factor = bytes.getFloat(i * Float.BYTES);
      if (!(factor >= 1e-6 && factor <= MAX_FACTOR)) {
        throw Faults.MODEL.invalid(
            header.where(name), "numbers above 0 and up to " + MAX_FACTOR, factor);
      }
      list.add(factor);
    }
  }
}
