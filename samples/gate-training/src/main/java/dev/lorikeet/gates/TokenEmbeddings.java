package dev.lorikeet.gates;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The embeddings of token ids, as the model shows them to its token routers. */
final class TokenEmbeddings {
  /*
   * A router sees the embedding of every token that it decides on, so a router that decides nothing and keeps what it
   * sees learns the embeddings of whatever is scored. What the features of a trained gate are made of thus comes from
   * where the gate will get them, on any host.
   */
  private static final String RECORDER = "embedding-recorder";
  private static final int LONGEST_PROMPT = 256;

  private final int hidden;
  private final Map<Integer, float[]> rows;

  private TokenEmbeddings(int hidden, Map<Integer, float[]> rows) {
    this.hidden = hidden;
    this.rows = rows;
  }

  /**
   * Records the embeddings of token ids.
   *
   * @param adapters the registered adapters that the gate will choose among
   */
  static TokenEmbeddings record(BaseModel model, List<String> adapters, Collection<Integer> ids) {
    Recorder recorder = new Recorder(new Experts(adapters, 1), model.info().shape().hidden());
    model.addRouter(RECORDER, recorder);
    List<Integer> distinct = ids.stream().distinct().sorted().toList();
    int longest = Math.min(LONGEST_PROMPT, model.info().maxPositions());
    for (int from = 0; from < distinct.size(); from += longest) {
      List<Integer> prompt = distinct.subList(from, Math.min(distinct.size(), from + longest));
      Scores.await(
          model.score(
              ScoreRequest.of(new Prompt.Tokens(prompt), new AdapterChoice.Routed(RECORDER))));
    }
    if (recorder.seen.size() != distinct.size()) {
      throw new IllegalStateException(
          "embeddings: expected " + distinct.size() + " rows, found " + recorder.seen.size());
    }
    Map<Integer, float[]> rows = new HashMap<>();
    for (int i = 0; i < distinct.size(); i++) {
      rows.put(distinct.get(i), recorder.seen.get(i));
    }
    return new TokenEmbeddings(model.info().shape().hidden(), rows);
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

  /** Keeps the rows that it sees, in their order; requests come one at a time. */
  private static final class Recorder implements TokenRouter {
    private final Experts experts;
    private final int hidden;
    private final List<float[]> seen = new ArrayList<>();

    Recorder(Experts experts, int hidden) {
      this.experts = experts;
      this.hidden = hidden;
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int token = 0; token < in.tokens(); token++) {
        float[] row = new float[hidden];
        long offset = token * in.hidden().rowStrideBytes();
        MemorySegment.copy(in.hidden().segment(), JAVA_FLOAT_UNALIGNED, offset, row, 0, hidden);
        seen.add(row);
      }
    }
  }
}
