package dev.lorikeet.jlama.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.weights.ReferenceModels.Reference;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Our logits, and those of the independent forward pass, against transformers' own. */
class TransformersTest {
  @TempDir Path directory;

  private Stream<DynamicTest> models(Check check) {
    return ReferenceModels.all().entrySet().stream()
        .filter(model -> !model.getKey().equals("mistral-window")) // longer than its window
        .map(
            model ->
                dynamicTest(
                    model.getKey(),
                    () -> {
                      Path written = model.getValue().write(directory.resolve(model.getKey()));
                      Reference reference = ReferenceModels.reference(model.getKey());
                      double worst = reference.worst(check.logits(written, reference));
                      assertTrue(worst <= 1e-5, "worst " + worst);
                    }));
  }

  private interface Check {
    float[] logits(Path directory, Reference reference);
  }

  @TestFactory
  Stream<DynamicTest> theDecoderAgreesWithTransformers() {
    return models(
        (model, reference) -> {
          AtomicReference<float[]> logits = new AtomicReference<>(new float[0]);
          try (Lorikeet lorikeet =
              Lorikeet.builder(model)
                  .poolBytes(16L << 20)
                  .modelOption("threads", "2")
                  .modelOption("kv-type", "f32")
                  .open()) {
            lorikeet
                .submit(
                    GenerationRequest.tokens(reference.tokens()).maxTokens(1).build(),
                    RequestObserver.logits(
                        (index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
                .await();
          }
          assertEquals(RandomModel.VOCABULARY, logits.get().length);
          return logits.get();
        });
  }

  @TestFactory
  Stream<DynamicTest> theIndependentForwardPassAgreesWithTransformers() {
    return models(
        (model, reference) -> {
          double[] wide = ReferenceForward.lastLogits(model, reference.tokenArray());
          float[] logits = new float[wide.length];
          for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) wide[i];
          }
          return logits;
        });
  }
}
