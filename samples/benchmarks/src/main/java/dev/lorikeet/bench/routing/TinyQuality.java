package dev.lorikeet.bench.routing;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.gates.LabelledText;
import dev.lorikeet.gates.MixedDocument;
import dev.lorikeet.gates.RouterEvaluation;
import dev.lorikeet.tiny.TinyModel;
import java.util.List;
import java.util.Map;

/**
 * How good routing is, on the embedded tiny model: perplexity of held-out documents that mix the
 * kinds of text of its adapters, as {@code lorikeet router evaluate} has it.
 */
final class TinyQuality {
  private static final int WORDS = 30;
  private static final int SEED = 3;

  private TinyQuality() {}

  /**
   * Scores documents under the base, each adapter, the uniform mixture, both trained gates and the
   * oracle.
   *
   * @param documents how many at most
   */
  static RouterEvaluation measure(int documents, Output output) {
    TinyModel tiny = TinyModel.extract();
    List<String> names = tiny.adapterNames();
    List<String> gates = List.of("token-wise gate", "layer-wise gate");
    try (Lorikeet lorikeet = Lorikeet.builder(tiny.base()).open()) {
      names.forEach(name -> lorikeet.register(name, tiny.adapter(name)));
      lorikeet.addRouter(gates.get(0), "gate", Map.of("path", tiny.gate().toString()));
      lorikeet.addRouter(gates.get(1), "gate", Map.of("path", tiny.layerGate().toString()));
      List<LabelledText> texts =
          names.stream().map(name -> LabelledText.read(name, tiny.heldOutText(name))).toList();
      List<MixedDocument> mixed =
          MixedDocument.mix(
              lorikeet.model(), texts, new MixedDocument.Mixing(WORDS, WORDS, 1), SEED);
      mixed = mixed.subList(0, Math.min(documents, mixed.size()));
      int scores = RouterEvaluation.scores(gates.size(), names.size(), mixed.size());
      var progress = output.progress("documents", scores);
      try {
        return RouterEvaluation.of(
            lorikeet, gates, names, mixed, () -> progress.ifPresent(bar -> bar.step()));
      } finally {
        progress.ifPresent(bar -> bar.close());
      }
    }
  }
}
