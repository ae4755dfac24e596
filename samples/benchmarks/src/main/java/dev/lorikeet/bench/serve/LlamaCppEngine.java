package dev.lorikeet.bench.serve;

import de.kherud.llama.InferenceParameters;
import de.kherud.llama.LlamaModel;
import de.kherud.llama.LlamaOutput;
import de.kherud.llama.ModelParameters;
import de.kherud.llama.args.LogFormat;
import dev.lorikeet.bench.model.Vocabulary;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * java-llama.cpp on its CPU backend. A context batches the sequences that it is given, but applies
 * one set of adapters to all of them, and its Java API lets no request choose: for a different
 * adapter each there is one context per adapter, over one mapped file. They take turns, each with
 * all threads: contexts that compute at the same time in one process generate wrong tokens, others
 * in every run (seen with 4.2.0). Settings: {@code weights}, {@code f16} or {@code bf16}, and
 * {@code flash}, whether attention is fused.
 */
final class LlamaCppEngine implements Engine {
  private static final int CONTEXT_TOKENS = 1024;

  private final Inputs inputs;
  private final Map<String, String> settings;
  private final Vocabulary vocabulary;

  /** Contexts by adapter and by whether they serve a batch; opened when first needed. */
  private final Map<String, LlamaModel> contexts = new HashMap<>();

  private final ExecutorService receivers = Executors.newCachedThreadPool();

  LlamaCppEngine(Inputs inputs, Map<String, String> settings) {
    LlamaModel.setLogger(LogFormat.TEXT, (level, message) -> {});
    this.inputs = inputs;
    this.settings = settings;
    this.vocabulary = inputs.vocabulary();
  }

  @Override
  public String title() {
    return "java-llama.cpp " + version();
  }

  private static String version() {
    try (var in =
        LlamaModel.class.getResourceAsStream("/META-INF/maven/de.kherud/llama/pom.properties")) {
      var properties = new java.util.Properties();
      if (in != null) {
        properties.load(in);
      }
      return properties.getProperty("version", "");
    } catch (java.io.IOException e) {
      return "";
    }
  }

  @Override
  public Outcome run(Workload workload) throws Exception {
    Clock clock = new Clock(workload.sequences(), workload.tokens());
    boolean inTurn = workload.mixed();
    List<LlamaModel> chosen = new ArrayList<>();
    for (int i = 0; i < workload.sequences(); i++) {
      chosen.add(
          context(
              workload.adapters().get(i),
              inTurn ? 1 : Math.max(Scenario.SEQUENCES, workload.sequences())));
    }
    List<List<Integer>> ids = new ArrayList<>();
    List<Future<List<Integer>>> running = new ArrayList<>();
    for (int i = 0; i < workload.sequences(); i++) {
      int sequence = i;
      Future<List<Integer>> future =
          receivers.submit(() -> generate(chosen.get(sequence), workload, sequence, clock));
      if (inTurn) {
        ids.add(get(future));
      } else {
        running.add(future);
      }
    }
    for (Future<List<Integer>> future : running) {
      ids.add(get(future));
    }
    return new Outcome(inTurn ? clock.inTurn() : clock.together(), clock.timeToFirstTokenMs(), ids);
  }

  private static List<Integer> get(Future<List<Integer>> future) throws Exception {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }

  private List<Integer> generate(LlamaModel model, Workload workload, int sequence, Clock clock) {
    InferenceParameters parameters =
        new InferenceParameters(vocabulary.text(workload.prompts().get(sequence)))
            .setNPredict(workload.tokens())
            .setTemperature(0)
            .setTopK(1)
            .setRepeatPenalty(1)
            .setIgnoreEos(true)
            .setCachePrompt(false);
    StringBuilder text = new StringBuilder();
    clock.start(sequence);
    for (LlamaOutput output : model.generate(parameters)) {
      if (!output.text.isEmpty()) {
        clock.token(sequence);
        text.append(output.text);
      }
    }
    return vocabulary.ids(text.toString());
  }

  private LlamaModel context(int adapter, int parallel) {
    return contexts.computeIfAbsent(
        adapter + "/" + parallel,
        key -> {
          ModelParameters parameters =
              new ModelParameters()
                  .setModel(inputs.gguf() + "-" + settings.get("weights") + ".gguf")
                  .setCtxSize(parallel * CONTEXT_TOKENS)
                  .setParallel(parallel)
                  .setThreads(inputs.threads())
                  .setThreadsBatch(inputs.threads())
                  .setGpuLayers(0);
          if (Boolean.parseBoolean(settings.get("flash"))) {
            parameters.enableFlashAttn();
          }
          if (adapter != Workload.NO_ADAPTER) {
            parameters.addLoraAdapter(inputs.ggufAdapters().get(adapter));
          }
          return new LlamaModel(parameters);
        });
  }
}
