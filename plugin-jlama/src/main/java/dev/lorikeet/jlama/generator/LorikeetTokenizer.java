package dev.lorikeet.jlama.generator;

import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import dev.lorikeet.model.BaseModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Jlama's view of Lorikeet's tokenizer, so that ids and texts agree with what the model reads and
 * writes. As with Jlama's own, encoding adds no token that begins a sequence, and the texts of
 * special tokens are part of what is decoded. Thread-safe.
 */
final class LorikeetTokenizer implements Tokenizer {
  /** Any text that is a token or several, and ends with one that decodes to the same anywhere. */
  private static final String ANCHOR = "a";

  private final BaseModel model;
  private final TokenizerModel files;
  private final Optional<PromptSupport> promptSupport;
  private final Map<Integer, String> special = new HashMap<>();
  private final List<Integer> begin;
  private final int anchor;
  private final int anchorLength;

  LorikeetTokenizer(BaseModel model, TokenizerModel files) {
    this.model = model;
    this.files = files;
    this.promptSupport = files.promptTemplates().map(templates -> new PromptSupport(files));
    files
        .addedTokens()
        .forEach(
            (text, id) -> {
              if (files.isSpecialToken(text)) {
                special.put(Math.toIntExact(id), text);
              }
            });
    this.begin = model.encode("");
    this.anchor = model.encode(ANCHOR).getLast();
    this.anchorLength = model.decode(List.of(anchor)).length();
  }

  /** Returns what begins a sequence: BOS, or nothing where the model has none. */
  List<Integer> begin() {
    return begin;
  }

  /** Returns the text of a special token, or empty for tokens of text. */
  Optional<String> special(int id) {
    return Optional.ofNullable(special.get(id));
  }

  /**
   * Encodes a prompt as Jlama's models do: without the BOS that it may begin with, since the caller
   * puts one before it.
   */
  List<Integer> encodePrompt(String prompt) {
    List<Integer> ids = encodePlain(prompt);
    boolean twice = begin.size() == 1 && !ids.isEmpty() && ids.getFirst().equals(begin.getFirst());
    return twice ? ids.subList(1, ids.size()) : ids;
  }

  /** Encodes a text without what begins a sequence. */
  List<Integer> encodePlain(String text) {
    List<Integer> ids = model.encode(text);
    boolean begun = ids.size() >= begin.size() && ids.subList(0, begin.size()).equals(begin);
    return begun ? ids.subList(begin.size(), ids.size()) : ids;
  }

  @Override
  public long[] encode(String sentence) {
    return encodePlain(sentence).stream().mapToLong(Integer::longValue).toArray();
  }

  /** Returns the texts of the tokens. */
  @Override
  public List<String> tokenize(String sentence) {
    return encodePlain(sentence).stream().map(this::decode).toList();
  }

  /** Returns the text that a token adds to a text, a leading space included. */
  @Override
  public String decode(long id) {
    int token = Math.toIntExact(id);
    String mark = special.get(token);
    return mark == null ? model.decode(List.of(anchor, token)).substring(anchorLength) : mark;
  }

  @Override
  public String decode(long[] ids) {
    StringBuilder text = new StringBuilder();
    List<Integer> run = new ArrayList<>();
    for (int id : Arrays.stream(ids).mapToInt(Math::toIntExact).toArray()) {
      String mark = special.get(id);
      if (mark == null) {
        run.add(id);
      } else {
        text.append(plain(run)).append(mark);
        run.clear();
      }
    }
    return text.append(plain(run)).toString();
  }

  private String plain(List<Integer> ids) {
    return ids.isEmpty() ? "" : model.decode(ids);
  }

  @Override
  public Optional<PromptSupport> promptSupport() {
    return promptSupport;
  }

  /** Returns what Jlama reads from the tokenizer's files. */
  @Override
  public TokenizerModel getModel() {
    return files;
  }
}
