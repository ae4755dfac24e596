package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.BLOCK;
import static dev.lorikeet.host.serving.SteppedServing.BLOCK_PAGES;
import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What observers of hidden states see, and what they can't disturb. */
@Timeout(300)
class HiddenObserverTest {
  private static final int LAYERS = SteppedServing.LAYERS;

  private final Random random = new Random(31);

  /** Returns the model to serve; whoever computes one for real runs these tests with it. */
  ServedModel model() {
    return new FakeModel();
  }

  private SteppedServing open(int sequences, int pages, boolean prefixCache) {
    return new SteppedServing(
        model(), SteppedServing.options(Policy.FCFS, sequences, prefixCache), pages);
  }

  private static float[] row(Tensor rows, int row) {
    return rows.segment()
        .asSlice(row * rows.rowStrideBytes(), rows.columns() * Float.BYTES)
        .toArray(ValueLayout.JAVA_FLOAT);
  }

  /** Chooses an adapter for every token, and keeps embeddings and final hidden states. */
  private static final class SeenByToken implements TokenRouter {
    final List<float[]> embeddings = new ArrayList<>();
    final List<float[]> contexts = new ArrayList<>();

    @Override
    public Experts experts() {
      return new Experts(List.of("a3"), 1);
    }

    @Override
    public RunningContext context() {
      return new RunningContext.LastHidden();
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++) {
        embeddings.add(row(in.hidden(), t));
        contexts.add(row(in.context().orElseThrow(), t));
        out.choose(t, 0, 0.5f);
      }
    }
  }

  /** Chooses by the layer, and keeps what it sees. */
  private static final class SeenByLayer implements LayerRouter {
    final List<List<float[]>> inputs = new ArrayList<>();

    SeenByLayer() {
      for (int layer = 0; layer < LAYERS; layer++) {
        inputs.add(new ArrayList<>());
      }
    }

    @Override
    public Experts experts() {
      return new Experts(List.of("a1", "a2"), 1);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int t = 0; t < in.tokens(); t++) {
        inputs.get(in.layer()).add(row(in.hidden(), t));
        out.choose(t, in.layer() % 2, 0.7f);
      }
    }
  }

  @Test
  void rowsAreWhatRoutersSeeAtTheSamePoints() {
    List<Integer> prompt = prompt(random, 30);
    SeenByToken byToken = new SeenByToken();
    SeenByLayer byLayer = new SeenByLayer();
    try (SteppedServing stepped = open(4, 400, false)) {
      stepped.serving.addRouter("token", byToken);
      stepped.serving.addRouter("layer", byLayer);
      HiddenRows rows = new HiddenRows();
      stepped.run(request(prompt, 5).router("token"), rows.observer());
      rows.expectPositions(34, LAYERS);
      HiddenRows.assertSame(byToken.embeddings, rows.of(HiddenPoint.EMBEDDING, 0), "embeddings");
      // The context of a generated token is the final hidden state of the token before it.
      HiddenRows.assertSame(
          byToken.contexts.subList(30, 34),
          rows.of(HiddenPoint.FINAL, LAYERS).subList(29, 33),
          "final hidden states");

      HiddenRows layered = new HiddenRows();
      stepped.run(request(prompt, 5).router("layer"), layered.observer());
      layered.expectPositions(34, LAYERS);
      for (int layer = 0; layer < LAYERS; layer++) {
        HiddenRows.assertSame(
            byLayer.inputs.get(layer), layered.of(HiddenPoint.LAYER_INPUT, layer), "" + layer);
      }
    }
  }

  @Test
  void aRequestSeesItsOwnPositionsWhateverElseIsInTheBatch() {
    List<Integer> one = prompt(random, 37);
    List<Integer> other = prompt(random, 5);
    HiddenRows oneAlone = new HiddenRows();
    HiddenRows otherAlone = new HiddenRows();
    HiddenRows oneTogether = new HiddenRows();
    HiddenRows otherTogether = new HiddenRows();
    try (SteppedServing stepped = open(4, 400, false)) {
      stepped.run(request(one, 6).adapter("a2"), oneAlone.observer());
      stepped.run(request(other, 9), otherAlone.observer());
      stepped.submit(request(prompt(random, 11), 20));
      stepped.submit(request(one, 6).adapter("a2"), oneTogether.observer());
      stepped.submit(request(other, 9), otherTogether.observer());
      stepped.finish(1000);
    }
    oneTogether.expectPositions(42, LAYERS);
    otherTogether.expectPositions(13, LAYERS);
    oneAlone.expectSame(oneTogether);
    otherAlone.expectSame(otherTogether);
  }

  @Test
  void aScoreShowsAllOfItsPositions() {
    List<Integer> prompt = prompt(random, 50);
    try (SteppedServing stepped = open(4, 400, false)) {
      HiddenRows generated = new HiddenRows();
      stepped.run(request(prompt, 1).adapter("a2"), generated.observer());
      HiddenRows scored = new HiddenRows();
      var score =
          stepped.serving.score(
              ScoreRequest.of(new Prompt.Tokens(prompt), AdapterChoice.named("a2")),
              scored.observer());
      stepped.finish(1000);
      assertEquals(prompt, score.join().tokens());
      scored.expectPositions(50, LAYERS);
      scored.expectSame(generated);
    }
  }

  @Test
  void onlyWhatWasAskedForIsShown() {
    List<HiddenPoint> seen = new ArrayList<>();
    try (SteppedServing stepped = open(4, 400, false)) {
      stepped.submit(request(prompt(random, 9), 3), new HiddenRows().observer());
      stepped.run(
          request(prompt(random, 9), 1),
          RequestObserver.hidden(
              EnumSet.of(HiddenPoint.FINAL), (point, layer, first, rows) -> seen.add(point)));
    }
    assertEquals(List.of(HiddenPoint.FINAL), seen);
  }

  @Test
  void thePrefixCacheHidesNothing() {
    List<Integer> prompt = prompt(random, 4 * BLOCK + 3);
    try (SteppedServing stepped = open(4, 400, true)) {
      HiddenRows first = new HiddenRows();
      List<Integer> tokens = stepped.run(request(prompt, 4), first.observer());
      stepped.run(request(prompt, 4));
      long reused = stepped.serving.prefixStats().reusedTokens();
      HiddenRows second = new HiddenRows();
      assertEquals(tokens, stepped.run(request(prompt, 4), second.observer()));
      assertEquals(reused, stepped.serving.prefixStats().reusedTokens());
      second.expectPositions(prompt.size() + 3, LAYERS);
      first.expectSame(second);
    }
  }

  @Test
  void afterPreemptionTheSameRowsAreShownAgain() {
    HiddenRows alone = new HiddenRows();
    HiddenRows preempted = new HiddenRows();
    List<Integer> prompt = prompt(random, 2 * BLOCK - 1);
    try (SteppedServing stepped = open(2, 400, false)) {
      stepped.run(request(prompt, 5 * BLOCK).adapter("a1"), alone.observer());
    }
    int pages = 8 * BLOCK_PAGES + SteppedServing.LARGEST_ADAPTER_PAGES;
    try (SteppedServing stepped = open(2, pages, false)) {
      stepped.submit(request(prompt(random, 2 * BLOCK - 1), 5 * BLOCK));
      Generation later =
          stepped.submit(request(prompt, 5 * BLOCK).adapter("a1"), preempted.observer());
      stepped.finish(1000);
      assertEquals(5 * BLOCK, later.await().tokens().size());
      assertTrue(stepped.serving.scheduler().preemptions() > 0, "nothing was preempted");
    }
    assertTrue(preempted.restarts() > 0, "nothing was shown again");
    alone.expectSame(preempted);
  }

  @Test
  void anObserverThatThrowsFailsItsOwnRequestAndNoOther() {
    RequestObserver broken =
        RequestObserver.hidden(
            EnumSet.of(HiddenPoint.LAYER_INPUT),
            (point, layer, first, rows) -> {
              throw new AssertionError("broken by the test");
            });
    List<Integer> prompt = prompt(random, 9);
    try (SteppedServing stepped = open(4, 400, false)) {
      List<Integer> right = stepped.run(request(prompt, 6));
      Generation good = stepped.submit(request(prompt, 6));
      Generation bad = stepped.submit(request(prompt, 6), broken);
      var score =
          stepped.serving.score(
              ScoreRequest.of(new Prompt.Tokens(prompt), AdapterChoice.none()), broken);
      stepped.finish(1000);
      assertEquals(right, good.await().tokens());
      LorikeetException e = assertThrows(LorikeetException.class, bad::await);
      assertEquals(Code.INVALID_REQUEST, e.code());
      assertTrue(e.getMessage().contains("onHidden"), e.getMessage());
      CompletionException failed = assertThrows(CompletionException.class, score::join);
      assertEquals(
          Code.INVALID_REQUEST,
          assertInstanceOf(LorikeetException.class, failed.getCause()).code());
    }
  }

  @Test
  void aScoreRefusesObserversOfWhatItDoesNotDraw() {
    ScoreRequest request = ScoreRequest.of(new Prompt.Tokens(List.of(5, 6)), AdapterChoice.none());
    try (SteppedServing stepped = open(4, 400, false)) {
      for (RequestObserver observer :
          List.of(
              RequestObserver.tokens(token -> {}), RequestObserver.logits((index, logits) -> {}))) {
        CompletionException failed =
            assertThrows(
                CompletionException.class, () -> stepped.serving.score(request, observer).join());
        assertEquals(
            Code.INVALID_REQUEST,
            assertInstanceOf(LorikeetException.class, failed.getCause()).code());
      }
    }
  }
}
