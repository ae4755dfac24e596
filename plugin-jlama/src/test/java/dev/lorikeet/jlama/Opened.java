package dev.lorikeet.jlama;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.tiny.TinyModel;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/** The tiny model, opened with the plugins of the test class path. */
final class Opened implements AutoCloseable {
  final TinyModel tiny;
  final Lorikeet lorikeet;

  private Opened(TinyModel tiny, Lorikeet lorikeet) {
    this.tiny = tiny;
    this.lorikeet = lorikeet;
  }

  static Lorikeet.Builder builder(TinyModel tiny) {
    return Lorikeet.builder(tiny.base()).poolBytes(64L << 20).modelOption("threads", "2");
  }

  static Opened tiny() {
    TinyModel tiny = TinyModel.extract();
    return of(tiny, builder(tiny));
  }

  static Opened of(TinyModel tiny, Lorikeet.Builder builder) {
    Lorikeet lorikeet = builder.open();
    for (String name : tiny.adapterNames()) {
      lorikeet.register(name, tiny.adapter(name));
    }
    return new Opened(tiny, lorikeet);
  }

  static AdapterChoice choice(Optional<String> adapter) {
    return adapter.<AdapterChoice>map(AdapterChoice.Named::new).orElse(new AdapterChoice.None());
  }

  /** A request for exactly this many greedy tokens. */
  static GenerationRequest.Builder request(
      List<Integer> prompt, Optional<String> adapter, int tokens) {
    return GenerationRequest.tokens(prompt)
        .adapter(choice(adapter))
        .stop(StopConditions.maxTokens(tokens).ignoringEos());
  }

  /** Returns the logits after the prompt. */
  float[] lastLogits(List<Integer> prompt, Optional<String> adapter) {
    AtomicReference<float[]> logits = new AtomicReference<>();
    lorikeet
        .submit(
            request(prompt, adapter, 1).build(),
            RequestObserver.logits((index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
        .await();
    return logits.get();
  }

  @Override
  public void close() {
    lorikeet.close();
  }
}
