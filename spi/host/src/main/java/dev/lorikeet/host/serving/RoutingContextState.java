package dev.lorikeet.host.serving;

import dev.lorikeet.routing.RunningContext;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A sequence's running context for its token router: what {@link RunningContext} describes, carried
 * from step to step. Used by the decoding thread alone.
 */
final class RoutingContextState {
  private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

  private final RunningContext kind;
  private final float[] state;
  private boolean begun;

  RoutingContextState(RunningContext kind, int hidden) {
    this.kind = kind;
    this.state = new float[kind instanceof RunningContext.None ? 0 : hidden];
  }

  /** Goes back to the beginning of the sequence. */
  void restart() {
    begun = false;
    java.util.Arrays.fill(state, 0f);
  }

  /** Returns whether tokens of this sequence wait for the final hidden state of the one before. */
  boolean oneByOne() {
    return kind instanceof RunningContext.LastHidden;
  }

  /**
   * Writes the context of the sequence's next token.
   *
   * @param embeddings has the token's embedding, a row of F32
   * @param promptToken whether the token is part of the prompt
   * @param contexts receives the row
   * @param offset where both rows begin, in bytes
   */
  void next(MemorySegment embeddings, boolean promptToken, MemorySegment contexts, long offset) {
    switch (kind) {
      case RunningContext.None none -> {}
      case RunningContext.MeanEmbedding(float decay) -> {
        for (int i = 0; i < state.length; i++) {
          float e = embeddings.get(F32, offset + (long) i * Float.BYTES);
          state[i] = begun ? decay * state[i] + (1 - decay) * e : e;
          contexts.set(F32, offset + (long) i * Float.BYTES, state[i]);
        }
        begun = true;
      }
      case RunningContext.LastHidden last -> {
        for (int i = 0; i < state.length; i++) {
          contexts.set(F32, offset + (long) i * Float.BYTES, promptToken ? 0f : state[i]);
        }
      }
    }
  }

  /** Takes the final hidden state of the sequence's last token, a row of F32 at an offset. */
  void finalHidden(MemorySegment hidden, long offset) {
    if (kind instanceof RunningContext.LastHidden) {
      MemorySegment.copy(hidden, F32, offset, state, 0, state.length);
    }
  }
}
