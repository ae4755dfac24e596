package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.conformance.files.Safetensors;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * A model directory that must be refused.
 *
 * @param what what is wrong with it
 * @param code the code of the refusal
 * @param names what the message must name
 * @param seenWithoutWeights whether {@code describe} must see it too
 * @param writer writes it
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
record HostileModels(
    String what, Code code, String[] names, boolean seenWithoutWeights, Consumer<Path> writer) {
  private static final String Q = "model.layers.1.self_attn.q_proj.weight";

  void write(Path directory) {
    writer.accept(directory);
  }

  static List<HostileModels> all(long seed) {
    List<HostileModels> list = new ArrayList<>();
    config(list, seed, "no hidden size", Code.MODEL_INVALID, "hidden_size", Absent.VALUE);
    config(list, seed, "a hidden size of zero", Code.MODEL_INVALID, "hidden_size", 0);
    config(list, seed, "layers that are text", Code.MODEL_INVALID, "num_hidden_layers", "two");
    config(list, seed, "heads that are not divided", Code.MODEL_INVALID, "num_key_value_heads", 3);
    config(list, seed, "a negative vocabulary", Code.MODEL_INVALID, "vocab_size", -5);
    config(list, seed, "an unknown family", Code.MODEL_UNSUPPORTED, "model_type", "perceiver");
    files(list, seed, "no configuration", TinyModel.CONFIG, true, (tiny, file) -> delete(file));
    files(list, seed, "a configuration that is no JSON", TinyModel.CONFIG, true, write("{\"a\": "));
    files(list, seed, "a configuration that is a list", TinyModel.CONFIG, true, write("[]"));
    files(list, seed, "no weights", TinyModel.WEIGHTS, false, (tiny, file) -> delete(file));
    files(
        list,
        seed,
        "weights cut off",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) -> Safetensors.write(file, Safetensors.truncated(tiny.weights.bytes(), 1)));
    files(list, seed, "an empty weights file", TinyModel.WEIGHTS, false, write(""));
    files(
        list,
        seed,
        "a header of absurd length",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) ->
            Safetensors.write(file, tiny.weights.bytes(Long.MAX_VALUE, new byte[] {'{', '}'})));
    files(
        list,
        seed,
        "a header that is no JSON",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) ->
            Safetensors.write(
                file, tiny.weights.bytes(4, "{{{{".getBytes(StandardCharsets.UTF_8))));
    files(
        list,
        seed,
        "a missing tensor",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) -> {
          tiny.weights.header().remove(Q);
          tiny.weights.write(file);
        });
    files(
        list,
        seed,
        "a tensor of another shape",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) -> {
          tiny.weights.add(Q, ElementType.F32, new float[32][64]);
          tiny.weights.write(file);
        });
    files(
        list,
        seed,
        "offsets past the end",
        TinyModel.WEIGHTS,
        false,
        (tiny, file) -> {
          long end = tiny.weights.dataSize();
          tiny.weights.entry(Q).put("data_offsets", new long[] {end, end + 64 * 64 * 4});
          tiny.weights.write(file);
        });
    files(list, seed, "no tokenizer", TinyModel.TOKENIZER, false, (tiny, file) -> delete(file));
    files(list, seed, "a tokenizer that is no JSON", TinyModel.TOKENIZER, false, write("{]"));
    return list;
  }

  private enum Absent {
    VALUE
  }

  private static void config(
      List<HostileModels> list, long seed, String what, Code code, String key, Object value) {
    list.add(
        new HostileModels(
            what,
            code,
            new String[] {TinyModel.CONFIG, key},
            true,
            directory -> {
              TinyModel tiny = new TinyModel(seed, 0.5);
              if (value == Absent.VALUE) {
                tiny.config.remove(key);
              } else {
                tiny.config.put(key, value);
              }
              tiny.write(directory);
            }));
  }

  private static void files(
      List<HostileModels> list,
      long seed,
      String what,
      String names,
      boolean seenWithoutWeights,
      BiConsumer<TinyModel, Path> damage) {
    list.add(
        new HostileModels(
            what,
            Code.MODEL_INVALID,
            new String[] {names},
            seenWithoutWeights,
            directory -> {
              TinyModel tiny = new TinyModel(seed, 0.5);
              damage.accept(tiny, tiny.write(directory).resolve(names));
            }));
  }

  private static BiConsumer<TinyModel, Path> write(String content) {
    return (tiny, file) -> Safetensors.write(file, content.getBytes(StandardCharsets.UTF_8));
  }

  private static void delete(Path file) {
    try {
      Files.delete(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
