package dev.lorikeet.jlama.gguf;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/** Opens models for comparison. */
final class Logits {
  private Logits() {}

  static Lorikeet open(Path model) {
    return Lorikeet.builder(model)
        .poolBytes(16L << 20)
        .modelOption("threads", "2")
        .modelOption("kv-type", "f32")
        .modelOption("warm-up", "false")
        .open();
  }

  /** Returns the logits behind the last token. */
  static float[] of(Lorikeet lorikeet, List<Integer> ids, AdapterChoice adapter) {
    AtomicReference<float[]> logits = new AtomicReference<>(new float[0]);
    lorikeet
        .submit(
            GenerationRequest.tokens(ids).adapter(adapter).maxTokens(1).build(),
            RequestObserver.logits((index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
        .await();
    return logits.get();
  }
}
