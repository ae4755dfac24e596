package dev.lorikeet.jlama.weights;

import dev.lorikeet.files.model.TensorNames;
import dev.lorikeet.files.safetensors.StoredTensor;
import java.lang.System.Logger.Level;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The tensors of a language model by the names that its family has for them, in files that nest
 * them: multimodal checkpoints keep them below {@code language_model.}, old ones of GPT-2 leave
 * {@code transformer.} out.
 */
final class TextTensors {
  private static final System.Logger LOG = System.getLogger(TextTensors.class.getName());
  private static final String NESTED = "language_model.";

  private TextTensors() {}

  /** Returns the tensors of the language model; all of them where nothing is nested. */
  static Map<String, StoredTensor> of(Map<String, StoredTensor> stored, TensorNames names) {
    String embedding = names.embedding();
    String root = embedding.substring(0, embedding.indexOf('.') + 1);
    String tail = embedding.substring(root.length());
    if (stored.containsKey(embedding)) {
      return stored;
    }
    if (stored.containsKey(tail)) {
      return renamed(stored, name -> name.equals(names.output()) ? name : root + name);
    }
    if (stored.containsKey(NESTED + embedding)) {
      return part(stored, NESTED, "", "");
    }
    if (stored.containsKey(root + NESTED + tail)) {
      return part(stored, root + NESTED, root, names.output());
    }
    return stored;
  }

  private static Map<String, StoredTensor> renamed(
      Map<String, StoredTensor> stored, UnaryOperator<String> rule) {
    Map<String, StoredTensor> renamed = new HashMap<>();
    stored.values().forEach(tensor -> put(renamed, rule.apply(tensor.name()), tensor));
    return renamed;
  }

  /** Returns what is below a prefix, and one tensor beside it. */
  private static Map<String, StoredTensor> part(
      Map<String, StoredTensor> stored, String prefix, String instead, String beside) {
    Map<String, StoredTensor> part = new HashMap<>();
    for (StoredTensor tensor : stored.values()) {
      if (tensor.name().startsWith(prefix)) {
        put(part, instead + tensor.name().substring(prefix.length()), tensor);
      } else if (tensor.name().equals(beside)) {
        put(part, beside, tensor);
      }
    }
    LOG.log(
        Level.INFO,
        "multimodal checkpoint: {0} tensors of the language model are used, {1} others are not",
        part.size(),
        stored.size() - part.size());
    return part;
  }

  private static void put(Map<String, StoredTensor> to, String name, StoredTensor t) {
    to.put(name, new StoredTensor(name, t.file(), t.type(), t.shape(), t.bytes()));
  }
}
