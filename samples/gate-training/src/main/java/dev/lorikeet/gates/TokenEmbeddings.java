package dev.lorikeet.gates;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The embeddings of token ids, as the model shows them to its token routers. */
final class TokenEmbeddings {
  /*
   * An observer of a score sees the embedding of every token, the same row that a router would see. What the features
   * of a trained gate are made of thus comes from where the gate will get them, on any host.
   */
  private static final int LONGEST_PROMPT = 256;

  private final int hidden;
  private final Map<Integer, float[]> rows = new HashMap<>();

  private TokenEmbeddings(int hidden) {
    this.hidden = hidden;
  }

  /** Records the embeddings of token ids. */
  static TokenEmbeddings record(BaseModel model, Collection<Integer> ids) {
    TokenEmbeddings embeddings = new TokenEmbeddings(model.info().shape().hidden());
    List<Integer> distinct = ids.stream().distinct().sorted().toList();
    int longest = Math.min(LONGEST_PROMPT, model.info().maxPositions());
    for (int from = 0; from < distinct.size(); from += longest) {
      List<Integer> prompt = distinct.subList(from, Math.min(distinct.size(), from + longest));
      RequestObserver observer =
          RequestObserver.hidden(
              Set.of(HiddenPoint.EMBEDDING),
              (point, layer, first, shown) -> embeddings.keep(prompt, first, shown));
      Scores.await(
          model.score(ScoreRequest.of(new Prompt.Tokens(prompt), AdapterChoice.none()), observer));
    }
    if (embeddings.rows.size() != distinct.size()) {
      throw new IllegalStateException(
          "embeddings: expected " + distinct.size() + " rows, found " + embeddings.rows.size());
    }
    return embeddings;
  }

  private void keep(List<Integer> prompt, int first, Tensor shown) {
    for (int r = 0; r < shown.rows(); r++) {
      float[] row = new float[hidden];
      MemorySegment.copy(
          shown.segment(), JAVA_FLOAT_UNALIGNED, r * shown.rowStrideBytes(), row, 0, hidden);
      rows.put(prompt.get(first + r), row);
    }
  }

  int hidden() {
    return hidden;
  }

  /** Returns the embedding of a recorded id; only read. */
  float[] row(int id) {
    float[] row = rows.get(id);
    if (row == null) {
      throw new IllegalArgumentException("token id " + id + " was not recorded");
    }
    return row;
  }
}
