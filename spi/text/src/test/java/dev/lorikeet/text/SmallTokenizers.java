package dev.lorikeet.text;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Tokenizer files of every kind, small enough to be opened thousands of times. */
final class SmallTokenizers {
  /** The kinds. */
  static final List<String> KINDS =
      List.of("bytelevel", "metaspace", "unigram", "wordpiece", "wordlevel");

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path RESOURCES = Path.of("src/test/resources/dev/lorikeet/text");

  private SmallTokenizers() {}

  /** Returns a new tree of one kind. */
  static ObjectNode of(String kind) {
    ObjectNode tokenizer =
        switch (kind) {
          case "bytelevel" -> resource("llama3");
          case "metaspace" -> resource("llama2");
          case "unigram" -> unigram();
          case "wordpiece" -> wordPiece();
          default -> wordLevel();
        };
    return tokenizer;
  }

  private static ObjectNode resource(String name) {
    try {
      return (ObjectNode) JSON.readTree(RESOURCES.resolve(name + "/tokenizer.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns the tree of a text in which a single quote stands for a double one. */
  static ObjectNode tree(String text) {
    try {
      return (ObjectNode) JSON.readTree(text.replace('\'', '"'));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ObjectNode unigram() {
    ObjectNode tokenizer =
        tree(
            """
            {'version': '1.0', 'added_tokens': [],
             'truncation': {'direction': 'Right', 'max_length': 5, 'strategy': 'LongestFirst',
               'stride': 0},
             'normalizer': {'type': 'Sequence', 'normalizers': [
               {'type': 'Precompiled', 'precompiled_charsmap': ''},
               {'type': 'Strip', 'strip_left': false, 'strip_right': true},
               {'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': '▁'}]},
             'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
               {'type': 'WhitespaceSplit'},
               {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always'}]},
             'post_processor': {'type': 'TemplateProcessing',
               'single': [{'Sequence': {'id': 'A', 'type_id': 0}},
                 {'SpecialToken': {'id': '</s>', 'type_id': 0}}],
               'pair': [{'Sequence': {'id': 'A', 'type_id': 0}},
                 {'Sequence': {'id': 'B', 'type_id': 1}}],
               'special_tokens': {'</s>': {'id': '</s>', 'ids': [1], 'tokens': ['</s>']}}},
             'decoder': {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always'},
             'model': {'type': 'Unigram', 'unk_id': 2, 'byte_fallback': false, 'vocab': []}}
            """);
    String map = CharacterMaps.encode(Map.of("\u00a0", " ", "ﬁ", "fi", "\t", " ", "①", "1"));
    ((ObjectNode) tokenizer.at("/normalizer/normalizers/0")).put("precompiled_charsmap", map);
    addTokens(tokenizer, "<pad>", "</s>", "<unk>");
    ArrayNode vocabulary = (ArrayNode) tokenizer.at("/model/vocab");
    List.of("<pad>", "</s>", "<unk>", "▁", "▁the", "the", "sea", "▁sea", "fi", "▁is", "ing")
        .forEach(piece -> vocabulary.addArray().add(piece).add(-2.5 - vocabulary.size()));
    for (char c = 'a'; c <= 'z'; c++) {
      vocabulary.addArray().add(String.valueOf(c)).add(-9.5);
    }
    return tokenizer;
  }

  private static ObjectNode wordPiece() {
    ObjectNode tokenizer =
        tree(
            """
            {'version': '1.0', 'added_tokens': [],
             'normalizer': {'type': 'BertNormalizer', 'clean_text': true,
               'handle_chinese_chars': true, 'strip_accents': null, 'lowercase': true},
             'pre_tokenizer': {'type': 'BertPreTokenizer'},
             'post_processor': {'type': 'BertProcessing', 'sep': ['[SEP]', 2],
               'cls': ['[CLS]', 1]},
             'decoder': {'type': 'Fuse'},
             'model': {'type': 'WordPiece', 'unk_token': '[UNK]',
               'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100, 'vocab': {}}}
            """);
    addTokens(tokenizer, "[UNK]", "[CLS]", "[SEP]");
    ObjectNode vocabulary = (ObjectNode) tokenizer.at("/model/vocab");
    List.of("[UNK]", "[CLS]", "[SEP]", "the", "sea", "is", "##ing", "##s", ".", ",", "'")
        .forEach(token -> vocabulary.put(token, vocabulary.size()));
    for (char c = 'a'; c <= 'z'; c++) {
      vocabulary.put(String.valueOf(c), vocabulary.size());
      vocabulary.put("##" + c, vocabulary.size());
    }
    return tokenizer;
  }

  private static ObjectNode wordLevel() {
    ObjectNode tokenizer =
        tree(
            """
            {'version': '1.0', 'added_tokens': [],
             'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'NFC'},
               {'type': 'Lowercase'}]},
             'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
               {'type': 'Split', 'pattern': {'Regex': '\\\\s+|\\\\p{L}+|\\\\d'},
                 'behavior': 'Isolated', 'invert': false},
               {'type': 'Punctuation', 'behavior': 'Isolated'},
               {'type': 'Digits', 'individual_digits': true},
               {'type': 'CharDelimiterSplit', 'delimiter': 'x'},
               {'type': 'UnicodeScripts'},
               {'type': 'FixedLength', 'length': 5}]},
             'post_processor': {'type': 'Sequence', 'processors': [
               {'type': 'RobertaProcessing', 'sep': ['</s>', 2], 'cls': ['<s>', 1],
                 'trim_offsets': true, 'add_prefix_space': true}]},
             'decoder': {'type': 'Sequence', 'decoders': [
               {'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '},
               {'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]},
             'model': {'type': 'WordLevel', 'unk_token': '<unk>', 'vocab': {}}}
            """);
    addTokens(tokenizer, "<unk>", "<s>", "</s>", "<mask>");
    ((ObjectNode) tokenizer.at("/added_tokens/3")).put("lstrip", true);
    ObjectNode vocabulary = (ObjectNode) tokenizer.at("/model/vocab");
    List.of("<unk>", "<s>", "</s>", "<mask>", "the", "sea", " ", "is", "1", ".")
        .forEach(token -> vocabulary.put(token, vocabulary.size()));
    return tokenizer;
  }

  private static void addTokens(ObjectNode tokenizer, String... contents) {
    ArrayNode added = (ArrayNode) tokenizer.path("added_tokens");
    for (String content : contents) {
      added
          .addObject()
          .put("id", added.size() - 1)
          .put("content", content)
          .put("single_word", false)
          .put("lstrip", false)
          .put("rstrip", false)
          .put("normalized", false)
          .put("special", true);
    }
  }
}
