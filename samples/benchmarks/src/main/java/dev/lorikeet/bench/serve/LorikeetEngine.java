package dev.lorikeet.bench.serve;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Lorikeet, as an application embeds it. Settings are options of the base model. */
final class LorikeetEngine implements Engine {
  private static final long POOL_BYTES = 1L << 30;

  private final String title;
  private final Lorikeet lorikeet;
  private final int bos;

  LorikeetEngine(Inputs inputs, Map<String, String> settings) {
    title = settings.getOrDefault("switching", "delta").equals("auto") ? "auto" : "Lorikeet";
    Lorikeet.Builder builder =
        Lorikeet.builder(Path.of(inputs.model()))
            .poolBytes(POOL_BYTES)
            .modelOption("threads", Integer.toString(inputs.threads()));
    settings.forEach(builder::modelOption);
    lorikeet = builder.open();
    bos = inputs.vocabulary().bos();
    for (int i = 0; i < inputs.adapters().size(); i++) {
      lorikeet.register(name(i), Path.of(inputs.adapters().get(i)));
    }
  }

  private static String name(int adapter) {
    return "adapter-" + adapter;
  }

  @Override
  public String title() {
    return title;
  }

  @Override
  public Outcome run(Workload workload) {
    Clock clock = new Clock(workload.sequences(), workload.tokens());
    List<Generation> generations = new ArrayList<>();
    for (int i = 0; i < workload.sequences(); i++) {
      int sequence = i;
      List<Integer> prompt = new ArrayList<>(List.of(bos));
      prompt.addAll(workload.prompts().get(i));
      GenerationRequest.Builder request =
          GenerationRequest.tokens(prompt)
              .stop(StopConditions.maxTokens(workload.tokens()).ignoringEos());
      if (workload.adapters().get(i) != Workload.NO_ADAPTER) {
        request.adapter(name(workload.adapters().get(i)));
      }
      clock.start(sequence);
      generations.add(
          lorikeet.submit(request.build(), RequestObserver.tokens(token -> clock.token(sequence))));
    }
    List<List<Integer>> ids = generations.stream().map(g -> g.await().tokens()).toList();
    return new Outcome(clock.together(), clock.timeToFirstTokenMs(), ids);
  }
}
