package dev.lorikeet.jlama.weights;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Models of any family with random weights: whatever tensors its configuration calls for. */
public final class RandomFamily {
  private static final ObjectMapper JSON = new ObjectMapper();

  private RandomFamily() {}

  /**
   * Writes a model and returns its directory.
   *
   * @param config its {@code config.json}; the vocabulary is {@link RandomModel#VOCABULARY}
   * @param type how its tensors are stored
   * @param seed of its weights
   */
  public static Path write(
      Path directory, Map<String, Object> config, ElementType type, long seed) {
    try {
      Files.createDirectories(directory);
      RandomModel.writeTokenizer(directory);
      Map<String, Object> whole = new LinkedHashMap<>(config);
      whole.put("vocab_size", RandomModel.VOCABULARY);
      whole.put("eos_token_id", 2);
      Files.write(directory.resolve("config.json"), JSON.writeValueAsBytes(whole));
      RandomModel.llama(seed)
          .type(type)
          .writeFile(
              directory.resolve("model.safetensors"),
              List.copyOf(tensors(Families.read(directory)).entrySet()));
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, int[]> tensors(Architecture a) {
    ModelShape shape = a.shape();
    Map<String, int[]> tensors = new LinkedHashMap<>();
    tensors.put(a.names().embedding(), new int[] {shape.vocabulary(), shape.hidden()});
    a.names()
        .positions()
        .ifPresent(name -> tensors.put(name, new int[] {a.maxPositions(), shape.hidden()}));
    for (int layer = 0; layer < shape.layers(); layer++) {
      String prefix = a.names().layer(layer);
      for (ModuleNames.Module module : shape.modules().modules()) {
        int in = shape.inFeatures(module.parts().getFirst());
        int out = shape.outFeatures(module);
        boolean transposed = a.names().transposed();
        tensors.put(
            prefix + module.path() + ".weight",
            transposed ? new int[] {in, out} : new int[] {out, in});
        if (a.biased().contains(module.parts().getFirst())) {
          tensors.put(prefix + module.path() + ".bias", new int[] {out});
        }
      }
      int at = layer;
      a.experts()
          .ifPresent(
              experts -> {
                if (experts.in(at)) {
                  experts(tensors, shape, prefix, experts);
                } else {
                  dense(tensors, shape.hidden(), experts.dense().intermediate(), prefix);
                }
              });
      a.names().norms().values().forEach(name -> norm(tensors, a, prefix + name));
      boolean heads = a.attention().norms() == Norm.OfQueryAndKey.HEADS;
      if (heads || a.attention().norms() == Norm.OfQueryAndKey.ROWS) {
        int q = heads ? shape.headDim() : shape.queryWidth();
        int k = heads ? shape.headDim() : shape.kvWidth();
        tensors.put(prefix + a.names().queryNorm(), new int[] {q});
        tensors.put(prefix + a.names().keyNorm(), new int[] {k});
      }
    }
    norm(tensors, a, a.names().finalNorm());
    if (!a.tiedEmbeddings()) {
      tensors.put(a.names().output(), new int[] {shape.vocabulary(), shape.hidden()});
    }
    return tensors;
  }

  private static void dense(
      Map<String, int[]> tensors, int hidden, int intermediate, String prefix) {
    tensors.put(prefix + "mlp.gate_proj.weight", new int[] {intermediate, hidden});
    tensors.put(prefix + "mlp.up_proj.weight", new int[] {intermediate, hidden});
    tensors.put(prefix + "mlp.down_proj.weight", new int[] {hidden, intermediate});
  }

  private static void experts(
      Map<String, int[]> tensors, ModelShape shape, String prefix, Experts experts) {
    tensors.put(prefix + experts.router(), new int[] {experts.count(), shape.hidden()});
    for (int e = 0; e < experts.count(); e++) {
      String name = prefix + experts.prefix() + e + ".";
      experts
          .modules()
          .forEach(
              (projection, module) ->
                  tensors.put(
                      name + module + ".weight",
                      new int[] {shape.outFeatures(projection), shape.inFeatures(projection)}));
    }
  }

  private static void norm(Map<String, int[]> tensors, Architecture a, String name) {
    tensors.put(name + ".weight", new int[] {a.shape().hidden()});
    if (a.norm().kind() == Norm.Kind.LAYER) {
      tensors.put(name + ".bias", new int[] {a.shape().hidden()});
    }
  }
}
