package dev.lorikeet.bench.serve;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import dev.lorikeet.bench.model.Vocabulary;
import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * Jlama's own generation. It has neither batches nor LoRA, and a model must not run two generations
 * at once: sequences take turns, without adapters. Settings: the element types of activations,
 * {@code memory}, and of what is multiplied with weights, {@code products}.
 */
final class JlamaEngine implements Engine {
  private final AbstractModel model;
  private final Vocabulary vocabulary;

  JlamaEngine(Inputs inputs, Map<String, String> settings) {
    model =
        ModelSupport.loadModel(
            new File(inputs.model()),
            null,
            DType.F32,
            DType.valueOf(settings.getOrDefault("products", "F32")),
            Optional.empty(),
            Optional.of(inputs.threads()));
    vocabulary = inputs.vocabulary();
  }

  @Override
  public String title() {
    return "Jlama 0.8.4";
  }

  @Override
  public Outcome run(Workload workload) {
    Clock clock = new Clock(workload.sequences(), workload.tokens());
    List<List<Integer>> ids = Clock.lists(workload.sequences());
    for (int i = 0; i < workload.sequences(); i++) {
      int sequence = i;
      List<Integer> prompt = workload.prompts().get(i);
      clock.start(sequence);
      // Its limit counts the prompt and its begin of sequence, and lets one token more pass.
      model.generate(
          UUID.randomUUID(),
          PromptContext.of(vocabulary.text(prompt)),
          0f,
          prompt.size() + workload.tokens(),
          (text, timing) -> {
            clock.token(sequence);
            ids.get(sequence).addAll(vocabulary.ids(text));
          });
    }
    return new Outcome(clock.inTurn(), clock.timeToFirstTokenMs(), ids);
  }
}
