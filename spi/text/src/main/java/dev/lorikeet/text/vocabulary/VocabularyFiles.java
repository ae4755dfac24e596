package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/**
 * {@code vocab.json} and {@code merges.txt}, the files of byte-level BPE before {@code
 * tokenizer.json}. How a text is divided depends on the class that {@code tokenizer_config.json}
 * names.
 */
final class VocabularyFiles {
  private static final String VOCABULARY = "vocab.json";
  private static final String MERGES = "merges.txt";
  private static final String ADDED = "added_tokens.json";
  private static final String END_OF_TEXT = "<|endoftext|>";
  private static final int MAX_ID = (1 << 22) - 1;

  /** Classes of transformers, the slow and the fast one of a name alike. */
  private static final Map<String, ByteLevelForms> CLASSES =
      Map.of(
          "GPT2Tokenizer", ByteLevelForms.GPT2,
          "CodeGenTokenizer", ByteLevelForms.GPT2,
          "Qwen2Tokenizer", ByteLevelForms.QWEN2);

  private final Path directory;
  private final ByteLevelForms form;
  private final boolean hasAdded;

  VocabularyFiles(Path directory, Optional<JsonFile> config) {
    this.directory = directory;
    this.hasAdded = config.map(c -> c.has("added_tokens_decoder")).orElse(false);
    this.form = config.map(VocabularyFiles::form).orElse(ByteLevelForms.GPT2);
  }

  static boolean areIn(Path directory) {
    return Files.exists(directory.resolve(VOCABULARY)) && Files.exists(directory.resolve(MERGES));
  }

  private static ByteLevelForms form(JsonFile config) {
    String key = "tokenizer_class";
    String found = config.text(key).orElse("GPT2Tokenizer");
    String name = found.endsWith("Fast") ? found.substring(0, found.length() - 4) : found;
    ByteLevelForms form = CLASSES.get(name);
    if (form == null) {
      throw config.unsupported(
          key,
          "'" + found + "'",
          "one of "
              + String.join(", ", new TreeSet<>(CLASSES.keySet()))
              + " beside "
              + VOCABULARY
              + " and "
              + MERGES
              + ", or a tokenizer.json");
    }
    if (config.bool("add_prefix_space", false)) {
      throw config.unsupported("add_prefix_space", "true", "false, or a tokenizer.json");
    }
    return form;
  }

  JsonFile definition() {
    Path file = directory.resolve(VOCABULARY);
    JsonFile vocabulary = JsonFile.read(file, TokenizerSource.MAX_BYTES);
    Definition definition = new Definition();
    ObjectNode model = definition.model("BPE");
    model.set("vocab", vocabulary.root());
    ArrayNode merges = model.putArray("merges");
    UntrustedFile.readText(Faults.MODEL, directory.resolve(MERGES), TokenizerSource.MAX_BYTES)
        .lines()
        .filter(line -> !line.isBlank() && !line.startsWith("#version"))
        .forEach(merges::add);
    if (!hasAdded) { // otherwise the configuration has them, and says more of them
      JsonFile.readIfPresent(directory.resolve(ADDED), TokenizerSource.MAX_BYTES)
          .ifPresent(added -> add(added, definition));
    }
    if (vocabulary.has(END_OF_TEXT)) {
      int id = vocabulary.integer(END_OF_TEXT, 0, MAX_ID);
      definition.addToken(id, END_OF_TEXT, true);
    }
    form.normalizer().ifPresent(part -> definition.component("normalizer", part));
    definition.component("pre_tokenizer", form.preTokenizer());
    definition.component("decoder", ByteLevelForms.bytes(true));
    return JsonFile.of(Faults.MODEL, file + ": as tokenizer.json", definition.json());
  }

  /** Tokens beside the vocabulary; which of them are special the configuration says. */
  private static void add(JsonFile added, Definition definition) {
    added
        .root()
        .properties()
        .forEach(
            token ->
                definition.addToken(
                    added.integer(token.getKey(), 0, MAX_ID), token.getKey(), false));
  }

  /** Returns what is so where {@code tokenizer_config.json} says nothing else. */
  ObjectNode config() {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    if (form == ByteLevelForms.GPT2) {
      config.put("bos_token", END_OF_TEXT).put("eos_token", END_OF_TEXT);
      config.put("unk_token", END_OF_TEXT);
    } else {
      config.put("eos_token", END_OF_TEXT).put("pad_token", END_OF_TEXT);
    }
    return config;
  }
}
