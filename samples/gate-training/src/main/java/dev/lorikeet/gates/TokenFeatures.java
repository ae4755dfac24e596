package dev.lorikeet.gates;

import dev.lorikeet.routing.RunningContext;
import java.util.List;

/**
 * The features that a token-wise gate sees along a document: a token's embedding, then the running
 * context, as {@link RunningContext} defines it.
 */
final class TokenFeatures implements GateFeatures {
  private final TokenEmbeddings embeddings;
  private final RunningContext context;
  private float[] rows = new float[0];

  /**
   * Creates features of no document.
   *
   * @param context none or a mean embedding: the final hidden state is known of generated tokens
   *     alone, and given text has none
   */
  TokenFeatures(TokenEmbeddings embeddings, RunningContext context) {
    if (context instanceof RunningContext.LastHidden) {
      throw new IllegalArgumentException("context: expected none or a mean embedding");
    }
    this.embeddings = embeddings;
    this.context = context;
  }

  @Override
  public int gates() {
    return 1;
  }

  @Override
  public int size() {
    return context instanceof RunningContext.None ? embeddings.hidden() : 2 * embeddings.hidden();
  }

  @Override
  public void open(MixedDocument document) {
    List<Integer> tokens = document.tokens();
    int hidden = embeddings.hidden();
    int size = size();
    if (rows.length < tokens.size() * size) {
      rows = new float[tokens.size() * size];
    }
    for (int t = 0; t < tokens.size(); t++) {
      float[] row = embeddings.row(tokens.get(t));
      int at = t * size;
      System.arraycopy(row, 0, rows, at, hidden);
      if (context instanceof RunningContext.MeanEmbedding(float decay)) {
        for (int i = 0; i < hidden; i++) {
          float before = t == 0 ? row[i] : rows[at - hidden + i];
          rows[at + hidden + i] = t == 0 ? row[i] : decay * before + (1 - decay) * row[i];
        }
      }
    }
  }

  @Override
  public void read(int gate, int token, float[] features) {
    System.arraycopy(rows, token * features.length, features, 0, features.length);
  }
}
