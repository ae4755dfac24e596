package dev.lorikeet.cli.train;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.training.data.Overlong;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.Schedule;
import dev.lorikeet.training.task.TaskFile;
import dev.lorikeet.training.task.TaskSpec;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import picocli.CommandLine.Option;

/** One task by options; a file of tasks has more to say. */
final class TaskOptions {
  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description =
          "Examples in JSON lines: text; prompt and completion; messages; prompt, chosen and rejected; prompt, paraphrase and completion; or ids.")
  private Path data = Path.of("");

  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "Name of the adapter (${DEFAULT-VALUE}).")
  private String name = "adapter";

  @Option(
      names = "--validation",
      paramLabel = "FRACTION",
      description = "Share of the examples to hold back, of which the loss is told.")
  private Optional<Double> validation = Optional.empty();

  @Option(names = "--rank", paramLabel = "R", description = "Rank (${DEFAULT-VALUE}).")
  private int rank = 16;

  @Option(
      names = "--alpha",
      paramLabel = "A",
      description = "Numerator of the scaling (twice the rank).")
  private Optional<Double> alpha = Optional.empty();

  @Option(names = "--rslora", description = "Scale by alpha / sqrt(rank).")
  private boolean rsLora;

  @Option(names = "--dora", description = "Learn magnitudes of the output features beside (DoRA).")
  private boolean dora;

  @Option(
      names = "--target-modules",
      split = ",",
      paramLabel = "MODULE",
      description = "Modules such as q_proj,v_proj; all linear layers by default.")
  private List<String> targets = List.of();

  @Option(
      names = "--blocks",
      paramLabel = "N",
      description = "Diagonal blocks for tensor parallel serving (${DEFAULT-VALUE}).")
  private int blocks = 1;

  @Option(
      names = "--experts",
      paramLabel = "N",
      description =
          "Learn so many adapters together with a gate that chooses among them for each token, as LoRA-Switch does.")
  private Optional<Integer> experts = Optional.empty();

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Of --experts: how many a token uses (2).")
  private Optional<Integer> topK = Optional.empty();

  @Option(
      names = "--load-balancing",
      paramLabel = "W",
      description = "Of --experts: what it counts that all are used alike (0.01).")
  private Optional<Double> loadBalancing = Optional.empty();

  @Option(
      names = "--objective",
      paramLabel = "next-token|dpo|cpo|cit",
      description = "What is minimized (${DEFAULT-VALUE}).")
  private Kind objective = Kind.NEXT_TOKEN;

  @Option(
      names = "--beta",
      paramLabel = "B",
      description = "Of dpo and cpo: how sharply preferences are told apart (${DEFAULT-VALUE}).")
  private double beta = 0.1;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "Of cit: what cosines are divided by (${DEFAULT-VALUE}).")
  private double temperature = Objective.Contrastive.DEFAULT.temperature();

  @Option(
      names = "--contrastive-weight",
      paramLabel = "W",
      description = "Of cit: the most that it counts that wordings are alike (${DEFAULT-VALUE}).")
  private double contrastiveWeight = Objective.Contrastive.DEFAULT.weight();

  @Option(
      names = "--learning-rate",
      paramLabel = "L",
      description = "The largest learning rate (${DEFAULT-VALUE}).")
  private double learningRate = 2e-4;

  @Option(
      names = "--loraplus-ratio",
      paramLabel = "X",
      description = "How many times as large it is for B (${DEFAULT-VALUE}).")
  private double loraPlus = 1;

  @Option(
      names = "--schedule",
      paramLabel = "constant|linear|cosine",
      description = "How the learning rate falls (${DEFAULT-VALUE}).")
  private Schedule.Shape schedule = Schedule.Shape.CONSTANT;

  @Option(
      names = "--warmup-steps",
      paramLabel = "N",
      description = "Over how many steps it rises (${DEFAULT-VALUE}).")
  private int warmup;

  @Option(
      names = "--weight-decay",
      paramLabel = "W",
      description = "Weight decay of AdamW (${DEFAULT-VALUE}).")
  private double weightDecay;

  @Option(
      names = "--max-grad-norm",
      paramLabel = "N",
      description = "The largest norm of a gradient.")
  private Optional<Double> maxGradNorm = Optional.empty();

  @Option(names = "--steps", paramLabel = "N", description = "Steps; or --epochs.")
  private Optional<Integer> steps = Optional.empty();

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "How often each example is taken (1 without --steps).")
  private Optional<Double> epochs = Optional.empty();

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Examples of a micro-batch (${DEFAULT-VALUE}).")
  private int batchSize = 4;

  @Option(
      names = "--accumulate",
      paramLabel = "N",
      description = "Micro-batches of a step (${DEFAULT-VALUE}).")
  private int accumulate = 1;

  @Option(
      names = "--dropout",
      paramLabel = "P",
      description =
          "Probability with which an element of a module's input is left out (${DEFAULT-VALUE}).")
  private double dropout;

  @Option(names = "--seed", paramLabel = "N", description = "Seed (${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--checkpoint-every",
      paramLabel = "N",
      description = "Save the state after so many steps, to go on from after an interruption.")
  private int checkpointEvery;

  @Option(
      names = "--start",
      paramLabel = "DIR",
      description = "PEFT adapter to go on from, instead of a new one.")
  private Optional<Path> start = Optional.empty();

  /** What is minimized. */
  enum Kind {
    NEXT_TOKEN,
    DPO,
    CPO,
    CIT
  }

  TaskFile.Entry entry() {
    if (data.toString().isEmpty()) { // nothing of the group was given
      throw new IllegalArgumentException("--tasks, --data: expected one of them, found none");
    }
    TaskSpec.Builder task =
        TaskSpec.builder(name)
            .objective(
                switch (objective) {
                  case NEXT_TOKEN -> new Objective.NextToken();
                  case DPO -> new Objective.Dpo(beta);
                  case CPO -> new Objective.Cpo(beta, 1);
                  case CIT -> new Objective.Contrastive(temperature, contrastiveWeight);
                })
            .method(
                new LoraMethod(
                    rank,
                    alpha.orElse(2.0 * rank),
                    rsLora,
                    modules(),
                    Map.of(),
                    Map.of(),
                    blocks,
                    dora))
            .optimizer(new OptimizerSpec.AdamW(0.9, 0.999, 1e-8, weightDecay))
            .learningRate(learningRate)
            .loraPlusRatio(loraPlus)
            .schedule(new Schedule(schedule, warmup))
            .batchSize(batchSize)
            .accumulate(accumulate)
            .dropout(dropout)
            .seed(seed)
            .checkpointEvery(checkpointEvery);
    maxGradNorm.ifPresent(task::maxGradNorm);
    steps.ifPresent(task::steps);
    start.ifPresent(task::start);
    mixture().ifPresent(task::mixture);
    if (steps.isPresent() && epochs.isPresent()) {
      throw new IllegalArgumentException("--steps, --epochs: expected one of them, found both");
    }
    OptionalDouble passes =
        steps.isPresent() ? OptionalDouble.empty() : OptionalDouble.of(epochs.orElse(1.0));
    return new TaskFile.Entry(
        task.build(),
        passes,
        data.toAbsolutePath(),
        validation.isPresent()
            ? new TaskFile.Validation.Fraction(validation.get())
            : new TaskFile.Validation.None(),
        OptionalInt.empty(),
        Overlong.REFUSE);
  }

  private Optional<Mixture> mixture() {
    Mixture otherwise = Mixture.DEFAULT;
    if (experts.isEmpty() && (topK.isPresent() || loadBalancing.isPresent())) {
      throw new IllegalArgumentException("--top-k, --load-balancing: expected --experts beside");
    }
    return experts.map(
        count ->
            new Mixture(
                count,
                topK.orElse(otherwise.topK()),
                loadBalancing.orElse(otherwise.loadBalancing()),
                otherwise.gateLearningRate(),
                otherwise.context()));
  }

  private Set<Projection> modules() {
    if (targets.isEmpty()) {
      return Set.copyOf(Projection.ofLayer());
    }
    EnumSet<Projection> found = EnumSet.noneOf(Projection.class);
    for (String target : targets) {
      found.add(
          Projection.ofModuleName(target)
              .orElseThrow(
                  () ->
                      new IllegalArgumentException(
                          "--target-modules: expected "
                              + Projection.ofLayer().stream().map(Projection::moduleName).toList()
                              + ", found '"
                              + target
                              + "'")));
    }
    return found;
  }
}
