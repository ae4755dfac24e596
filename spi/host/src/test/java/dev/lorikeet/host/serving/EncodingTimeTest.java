package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.HostedModel;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.text.EncodingLimit;
import dev.lorikeet.text.StreamDecoder;
import dev.lorikeet.text.Tokenizer;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** The time that encoding takes counts, by a clock that only encoding moves. */
class EncodingTimeTest {
  private static final Duration TAKEN = Duration.ofMillis(100);

  private int encoded;

  private SteppedServing open(boolean inPieces) {
    SteppedServing[] opened = new SteppedServing[1];
    Tokenizer slow = new SlowTokenizer(inPieces, () -> opened[0].pass(TAKEN.toNanos()));
    opened[0] =
        new SteppedServing(
            new FakeModel(slow), SteppedServing.options(Policy.FCFS, 2, false), 1000);
    return opened[0];
  }

  private static GenerationRequest.Builder within(Duration timeout) {
    return GenerationRequest.text("some text").maxTokens(1).timeout(timeout);
  }

  @Test
  void aRequestWhosePromptTakesTooLongToEncodeFailsAsSoonAsItIsEncoded() {
    try (SteppedServing stepped = open(false)) {
      var error = assertThrows(LorikeetException.class, () -> stepped.submit(within(TAKEN)));
      assertEquals(Code.DEADLINE_EXCEEDED, error.code());
      assertEquals(1, encoded);
    }
  }

  @Test
  void encodingInPiecesEndsWithTheDeadline() {
    try (SteppedServing stepped = open(true)) {
      var error =
          assertThrows(
              LorikeetException.class, () -> stepped.submit(within(TAKEN.multipliedBy(3))));
      assertEquals(Code.DEADLINE_EXCEEDED, error.code());
      assertEquals(3, encoded);
    }
  }

  @Test
  void aRequestWithTimeLeftIsServed() {
    try (SteppedServing stepped = open(true)) {
      var generation = stepped.submit(within(TAKEN.multipliedBy(100)));
      stepped.finish(100);
      assertEquals(1, generation.await().usage().generatedTokens());
    }
  }

  @Test
  void encodingATextAloneEndsWithAnInterruption() {
    FakeModel model =
        new FakeModel(
            new SlowTokenizer(
                true,
                () -> {
                  if (encoded == 3) {
                    Thread.currentThread().interrupt();
                  }
                }));
    try (FakeHost host = new FakeHost();
        HostedModel opened = host.open(model)) {
      var error = assertThrows(LorikeetException.class, () -> opened.encode("some text"));
      assertTrue(Thread.interrupted(), "the mark stays");
      assertEquals(Code.CANCELLED, error.code());
      assertEquals(3, encoded);
    }
  }

  @Test
  void closingTheModelEndsTheEncodingOfAText() {
    HostedModel[] opened = new HostedModel[1];
    FakeModel model = new FakeModel(new SlowTokenizer(true, () -> opened[0].close()));
    try (FakeHost host = new FakeHost()) {
      opened[0] = host.open(model);
      var error = assertThrows(LorikeetException.class, () -> opened[0].encode("some text"));
      assertEquals(Code.CLOSED, error.code());
      assertEquals(1, encoded);
    }
  }

  private final class SlowTokenizer implements Tokenizer {
    private final Tokenizer tokenizer = new FakeTokenizer();
    private final boolean inPieces;
    private final Runnable time;

    SlowTokenizer(boolean inPieces, Runnable time) {
      this.inPieces = inPieces;
      this.time = time;
    }

    @Override
    public int[] encode(String text, boolean addSpecialTokens) {
      encoded++;
      time.run();
      return tokenizer.encode(text, addSpecialTokens);
    }

    @Override
    public int[] encode(String text, boolean addSpecialTokens, EncodingLimit limit) {
      for (int i = 0; inPieces && i < text.length(); i++) {
        limit.checkTime().run();
        encode("", false);
      }
      return encode(text, addSpecialTokens);
    }

    @Override
    public String decode(int[] ids, boolean skipSpecialTokens) {
      return tokenizer.decode(ids, skipSpecialTokens);
    }

    @Override
    public StreamDecoder stream(boolean skipSpecialTokens) {
      return tokenizer.stream(skipSpecialTokens);
    }

    @Override
    public void close() {}
  }
}
