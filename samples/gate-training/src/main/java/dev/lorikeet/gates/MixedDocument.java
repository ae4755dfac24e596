package dev.lorikeet.gates;

import dev.lorikeet.model.BaseModel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * A document whose passages are of different adapters' kinds.
 *
 * @param tokens the token ids, with what the tokenizer adds by itself
 * @param labels for each token, the index of the adapter whose kind its passage is
 */
public record MixedDocument(List<Integer> tokens, List<Integer> labels) {
  public MixedDocument {
    tokens = List.copyOf(tokens);
    labels = List.copyOf(labels);
  }

  /**
   * How documents are mixed. Each holds {@code rounds} passages of every kind: all kinds in a
   * random order, then all again in another.
   *
   * @param leastWords words of the shortest passage
   * @param mostWords words of the longest passage
   * @param rounds how often each kind occurs in a document
   */
  public record Mixing(int leastWords, int mostWords, int rounds) {}

  /**
   * Mixes documents, as many as the shortest text lasts for. The same seed gives the same
   * documents.
   */
  public static List<MixedDocument> mix(
      BaseModel model, List<LabelledText> texts, Mixing mixing, long seed) {
    Random random = new Random(seed);
    List<List<String>> passages = new ArrayList<>();
    int count = Integer.MAX_VALUE;
    for (LabelledText text : texts) {
      List<String> cut =
          new ArrayList<>(
              text.passages(() -> random.nextInt(mixing.leastWords(), mixing.mostWords() + 1)));
      Collections.shuffle(cut, random);
      passages.add(cut);
      count = Math.min(count, cut.size() / mixing.rounds());
    }
    List<MixedDocument> documents = new ArrayList<>();
    for (int d = 0; d < count; d++) {
      Builder builder = new Builder(model);
      for (int round = 0; round < mixing.rounds(); round++) {
        List<Integer> order = new ArrayList<>();
        for (int kind = 0; kind < texts.size(); kind++) {
          order.add(kind);
        }
        Collections.shuffle(order, random);
        for (int kind : order) {
          builder.add(passages.get(kind).get(d * mixing.rounds() + round), kind);
        }
      }
      documents.add(builder.build(model.info().maxPositions()));
    }
    return documents;
  }

  /** Puts passages one after the other. */
  private static final class Builder {
    private final BaseModel model;
    private final List<Integer> added;
    private final List<Integer> tokens = new ArrayList<>();
    private final List<Integer> labels = new ArrayList<>();

    Builder(BaseModel model) {
      this.model = model;
      this.added = model.encode("");
    }

    void add(String passage, int label) {
      List<Integer> encoded = model.encode(tokens.isEmpty() ? passage : " " + passage);
      int prefix = 0;
      while (prefix < Math.min(added.size(), encoded.size())
          && added.get(prefix).equals(encoded.get(prefix))) {
        prefix++;
      }
      // What the tokenizer adds before a text comes once, what it adds behind not at all.
      int end = encoded.size() - (added.size() - prefix);
      for (int token : encoded.subList(tokens.isEmpty() ? 0 : prefix, end)) {
        tokens.add(token);
        labels.add(label);
      }
    }

    MixedDocument build(int maxPositions) {
      int length = Math.min(tokens.size(), maxPositions);
      return new MixedDocument(tokens.subList(0, length), labels.subList(0, length));
    }
  }
}
