package dev.lorikeet.bench.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Collectors;

/**
 * A vocabulary in which every token is one character, so that every library turns the same text
 * into the same ids, and text back into ids: token {@code i} is code point {@code 0x10000 + i}.
 * Three ids are special: unknown, begin and end of sequence. Benchmarks put it in place of a
 * model's own, whose tokenization is not what they measure.
 *
 * @param size number of tokens
 * @param bos id of the begin of a sequence, which every prompt starts with
 * @param eos id of the end of a sequence
 */
public record Vocabulary(int size, int bos, int eos) {
  private static final int FIRST_CODE_POINT = 0x10000;
  private static final int UNKNOWN = 0;

  /** Returns the text of a token. */
  String token(int id) {
    if (id == bos) {
      return "<s>";
    }
    if (id == eos) {
      return "</s>";
    }
    return isSpecial(id) ? "<unk>" : Character.toString(FIRST_CODE_POINT + id);
  }

  /** Returns whether a token never stands for text. */
  boolean isSpecial(int id) {
    return id == bos || id == eos || id == UNKNOWN;
  }

  /** Returns the text of tokens. */
  public String text(List<Integer> ids) {
    return ids.stream().map(this::token).collect(Collectors.joining());
  }

  /** Returns the tokens of a text; characters outside the vocabulary are -1. */
  public List<Integer> ids(String text) {
    return text.codePoints()
        .map(c -> c - FIRST_CODE_POINT)
        .map(id -> id >= 0 && id < size ? id : -1)
        .boxed()
        .toList();
  }

  /** Returns a random prompt of ordinary tokens, without the begin of the sequence. */
  public List<Integer> prompt(long seed, int tokens) {
    return new SplittableRandom(seed)
        .ints(0, size)
        .filter(id -> !isSpecial(id))
        .limit(tokens)
        .boxed()
        .toList();
  }

  /** Returns the {@code tokenizer.json} of Hugging Face. */
  String tokenizerJson() {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode root = mapper.createObjectNode().put("version", "1.0");
    ArrayNode added = root.putArray("added_tokens");
    ObjectNode model = root.putObject("model").put("type", "BPE").put("unk_token", "<unk>");
    root.putNull("normalizer");
    root.putNull("pre_tokenizer");
    root.putNull("post_processor");
    root.putObject("decoder").put("type", "Fuse");
    ObjectNode vocabulary = model.putObject("vocab");
    model.putArray("merges");
    for (int id = 0; id < size; id++) {
      vocabulary.put(token(id), id);
      if (isSpecial(id)) {
        added
            .addObject()
            .put("id", id)
            .put("content", token(id))
            .put("single_word", false)
            .put("lstrip", false)
            .put("rstrip", false)
            .put("normalized", false)
            .put("special", true);
      }
    }
    return root.toString();
  }

  /** Returns the {@code tokenizer_config.json} that goes with it. */
  String tokenizerConfigJson() {
    return new ObjectMapper()
        .createObjectNode()
        .put("add_bos_token", true)
        .put("bos_token", "<s>")
        .put("eos_token", "</s>")
        .put("unk_token", "<unk>")
        .put("tokenizer_class", "PreTrainedTokenizerFast")
        .toString();
  }
}
