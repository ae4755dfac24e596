package dev.lorikeet.training.task;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.training.data.Overlong;
import dev.lorikeet.training.task.Settings.Found;
import dev.lorikeet.training.task.TaskFile.Entry;
import dev.lorikeet.training.task.TaskFile.Validation;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Makes a task of its settings. */
final class TaskReader {
  private static final List<String> METHOD_KEYS =
      List.of(
          "r",
          "lora_alpha",
          "use_rslora",
          "target_modules",
          "rank_pattern",
          "alpha_pattern",
          "nblocks");
  private static final Set<String> OTHER_KEYS =
      Set.of(
          "validation",
          "method",
          "loraplus_lr_ratio",
          "start",
          "optimizer",
          "optim",
          "learning_rate",
          "weight_decay",
          "adam_beta1",
          "adam_beta2",
          "adam_epsilon",
          "lr_scheduler_type",
          "warmup_steps",
          "max_grad_norm",
          "num_train_epochs",
          "max_steps",
          "per_device_train_batch_size",
          "batch_size",
          "gradient_accumulation_steps",
          "seed",
          "shuffle",
          "dtype",
          "priority",
          "checkpoint_every",
          "save_steps",
          "validate_every",
          "eval_steps",
          "publish_every",
          "early_stopping_patience",
          "load_best_model_at_end",
          "lora_dropout",
          "objective",
          "loss_type",
          "beta",
          "cpo_alpha",
          "temperature",
          "contrastive_weight",
          "max_length",
          "overlong");

  /** What may be the same for all tasks. */
  static final Set<String> KEYS_OF_DEFAULTS =
      union(Stream.concat(METHOD_KEYS.stream(), MixtureReader.KEYS.stream()), OTHER_KEYS.stream());

  /** All keys of a task. */
  static final Set<String> KEYS = union(KEYS_OF_DEFAULTS.stream(), Stream.of("name", "data"));

  private static final double LORA_PLUS_RATIO = 16;

  /** What a method is called; the last is known, but not here yet. */
  private enum Method {
    LORA,
    RSLORA,
    LORA_PLUS,
    BLOCK_DIAGONAL,
    DORA,
    MIXTURE,
    VERA
  }

  private static final Map<String, Method> METHODS =
      Map.of(
          "lora", Method.LORA,
          "rslora", Method.RSLORA,
          "lora+", Method.LORA_PLUS,
          "block-diagonal", Method.BLOCK_DIAGONAL,
          "dora", Method.DORA,
          "mixture", Method.MIXTURE,
          "vera", Method.VERA);

  /** What an optimizer is called. */
  private enum Optimizer {
    ADAMW,
    SGD,
    LORA_RITE
  }

  private static final Map<String, Optimizer> OPTIMIZERS =
      Map.of(
          "adamw", Optimizer.ADAMW,
          "adamw_torch", Optimizer.ADAMW,
          "sgd", Optimizer.SGD,
          "lora-rite", Optimizer.LORA_RITE);

  private static final Map<String, Schedule.Shape> SHAPES =
      Map.of(
          "constant", Schedule.Shape.CONSTANT,
          "constant_with_warmup", Schedule.Shape.CONSTANT,
          "linear", Schedule.Shape.LINEAR,
          "cosine", Schedule.Shape.COSINE);

  private static final Map<String, ElementType> TYPES =
      Map.of(
          "float32", ElementType.F32,
          "bfloat16", ElementType.BF16,
          "float16", ElementType.F16);

  private static final Map<String, Overlong> OVERLONG =
      Map.of(
          "refuse",
          Overlong.REFUSE,
          "truncate",
          Overlong.TRUNCATE,
          "leave-out",
          Overlong.LEAVE_OUT);

  private static final Map<String, Projection> MODULES =
      Projection.ofLayer().stream()
          .collect(Collectors.toUnmodifiableMap(Projection::moduleName, Function.identity()));

  private final Settings settings;
  private final Path folder;

  TaskReader(Settings settings, Path folder) {
    this.settings = settings;
    this.folder = folder;
  }

  private static Set<String> union(Stream<String> some, Stream<String> others) {
    return Stream.concat(some, others).collect(Collectors.toUnmodifiableSet());
  }

  Entry read() {
    String name = settings.text("name").orElseThrow(() -> missing("name", "the task's name"));
    Path data =
        settings.path(folder, "data").orElseThrow(() -> missing("data", "a file of examples"));
    try {
      TaskSpec.Builder spec = TaskSpec.builder(name);
      adapter(spec);
      learning(spec);
      OptionalDouble epochs = length(spec);
      OptionalInt maxLength = settings.integer(2, Integer.MAX_VALUE, "max_length");
      Overlong overlong = settings.choice("way", OVERLONG, "overlong").orElse(Overlong.REFUSE);
      return new Entry(spec.build(), epochs, data, validation(), maxLength, overlong);
    } catch (IllegalArgumentException e) {
      throw Faults.CONFIG.refuse(
          settings.own().source(), Faults.show(String.valueOf(e.getMessage())), e);
    }
  }

  private LorikeetException missing(String key, String expected) {
    return settings.own().missing(key, expected);
  }

  private void adapter(TaskSpec.Builder spec) {
    Set<Method> methods = methods();
    double ratio = settings.above(0, "loraplus_lr_ratio").orElse(LORA_PLUS_RATIO);
    if (methods.contains(Method.LORA_PLUS)) {
      spec.loraPlusRatio(ratio);
    } else {
      settings.unused("the method is not lora+", List.of("loraplus_lr_ratio"));
    }
    if (methods.contains(Method.MIXTURE)) {
      spec.mixture(MixtureReader.read(settings));
    } else {
      settings.unused("the method is not mixture", MixtureReader.KEYS);
    }
    Optional<Path> start = settings.path(folder, "start");
    LoraMethod method = method(methods);
    if (start.isPresent()) {
      settings.unused("the adapter at 'start' has it", METHOD_KEYS);
      spec.start(start.get());
    } else {
      spec.method(method);
    }
    settings.choice("type", TYPES, "dtype").ifPresent(spec::storedType);
  }

  private Set<Method> methods() {
    Optional<Found> found = settings.find("method");
    Set<Method> methods = EnumSet.noneOf(Method.class);
    if (found.isPresent()) {
      for (String word : settings.texts(found.get())) {
        Method method = Settings.choice(found.get(), "method", word, METHODS);
        if (method == Method.VERA) {
          throw found.get().refuse("'" + word + "' is not supported yet");
        }
        methods.add(method);
      }
    }
    return methods;
  }

  private LoraMethod method(Set<Method> methods) {
    int most = AdapterPlan.MAX_RANK;
    boolean blockDiagonal = methods.contains(Method.BLOCK_DIAGONAL);
    OptionalInt blocks = settings.integer(1, most, "nblocks");
    if (!blockDiagonal) {
      settings.unused("the method is not block-diagonal", List.of("nblocks"));
    } else if (blocks.isEmpty()) {
      throw missing("nblocks", "the number of blocks of the method block-diagonal");
    }
    LoraMethod otherwise = LoraMethod.DEFAULT;
    return new LoraMethod(
        settings.integer(1, most, "r").orElse(otherwise.rank()),
        settings.above(0, "lora_alpha").orElse(otherwise.alpha()),
        settings.flag("use_rslora", methods.contains(Method.RSLORA)),
        targets().orElse(otherwise.targets()),
        pattern("rank_pattern", (found, value) -> found.in().integer(found.key(), value, 1, most)),
        pattern("alpha_pattern", TaskReader::alpha),
        blockDiagonal ? blocks.getAsInt() : 1,
        methods.contains(Method.DORA));
  }

  private static double alpha(Found found, JsonNode value) {
    double alpha = value.doubleValue();
    if (!value.isNumber() || !(alpha > 0) || Double.isInfinite(alpha)) {
      throw found.wrong("a number above 0");
    }
    return alpha;
  }

  private Optional<Set<Projection>> targets() {
    return settings
        .find("target_modules")
        .map(
            found -> {
              List<String> names = settings.texts(found);
              if (names.equals(List.of("all-linear"))) {
                return Set.copyOf(Projection.ofLayer());
              }
              if (names.isEmpty()) {
                throw found.wrong("at least one module, or all-linear");
              }
              Set<Projection> targets = new HashSet<>();
              names.forEach(name -> targets.add(module(found, name)));
              return targets;
            });
  }

  private static Projection module(Found found, String name) {
    return Settings.choice(found, "module", name, MODULES);
  }

  private <T> Map<Projection, T> pattern(String key, BiFunction<Found, JsonNode, T> read) {
    Map<Projection, T> values = new EnumMap<>(Projection.class);
    settings
        .find(key)
        .ifPresent(
            found -> {
              if (!found.value().isObject()) {
                throw found.wrong("a map from modules to numbers");
              }
              for (Map.Entry<String, JsonNode> entry : found.value().properties()) {
                Projection module = module(found, entry.getKey());
                String at = key + "." + entry.getKey();
                values.put(
                    module,
                    read.apply(new Found(found.in(), at, entry.getValue()), entry.getValue()));
              }
            });
    return values;
  }

  private void learning(TaskSpec.Builder spec) {
    spec.objective(new ObjectiveReader(settings).read());
    spec.optimizer(optimizer());
    settings.above(0, "learning_rate").ifPresent(spec::learningRate);
    Schedule.Shape shape =
        settings.choice("schedule", SHAPES, "lr_scheduler_type").orElse(Schedule.CONSTANT.shape());
    spec.schedule(
        new Schedule(shape, settings.integer(0, Integer.MAX_VALUE, "warmup_steps").orElse(0)));
    double norm = settings.atLeast(0, "max_grad_norm").orElse(0);
    if (norm > 0) { // as in transformers, 0 is for none
      spec.maxGradNorm(norm);
    }
    settings.atLeast(0, "lora_dropout").ifPresent(spec::dropout);
    settings.whole("seed").ifPresent(spec::seed);
    spec.shuffle(settings.flag("shuffle", true));
    settings.integer(Integer.MIN_VALUE, Integer.MAX_VALUE, "priority").ifPresent(spec::priority);
    settings
        .integer(0, Integer.MAX_VALUE, "checkpoint_every", "save_steps")
        .ifPresent(spec::checkpointEvery);
    settings
        .integer(0, Integer.MAX_VALUE, "validate_every", "eval_steps")
        .ifPresent(spec::validateEvery);
    settings.integer(0, Integer.MAX_VALUE, "publish_every").ifPresent(spec::publishEvery);
    settings.integer(0, Integer.MAX_VALUE, "early_stopping_patience").ifPresent(spec::patience);
    spec.keepBest(settings.flag("load_best_model_at_end", false));
  }

  private OptimizerSpec optimizer() {
    double decay = settings.atLeast(0, "weight_decay").orElse(0);
    OptimizerSpec.AdamW otherwise = OptimizerSpec.AdamW.DEFAULT;
    double beta1 = settings.atLeast(0, "adam_beta1").orElse(otherwise.beta1());
    double beta2 = settings.atLeast(0, "adam_beta2").orElse(otherwise.beta2());
    double epsilon = settings.above(0, "adam_epsilon").orElse(otherwise.epsilon());
    Optimizer optimizer =
        settings.choice("optimizer", OPTIMIZERS, "optimizer", "optim").orElse(Optimizer.ADAMW);
    return switch (optimizer) {
      case ADAMW -> new OptimizerSpec.AdamW(beta1, beta2, epsilon, decay);
      case SGD -> {
        settings.unused(
            "the optimizer is sgd", List.of("adam_beta1", "adam_beta2", "adam_epsilon"));
        yield new OptimizerSpec.Sgd(decay);
      }
      case LORA_RITE ->
          new OptimizerSpec.LoraRite(
              beta1,
              beta2,
              settings.above(0, "adam_epsilon").orElse(OptimizerSpec.LoraRite.DEFAULT.epsilon()),
              decay);
    };
  }

  /**
   * Reads the length of a run; a task that has either key of its own has no default of the other.
   */
  private OptionalDouble length(TaskSpec.Builder spec) {
    settings
        .integer(1, Integer.MAX_VALUE, "batch_size", "per_device_train_batch_size")
        .ifPresent(spec::batchSize);
    settings
        .integer(1, Integer.MAX_VALUE, "gradient_accumulation_steps")
        .ifPresent(spec::accumulate);
    Optional<Found> length = settings.find("max_steps", "num_train_epochs");
    if (length.isEmpty()) {
      return OptionalDouble.empty();
    }
    if (length.get().key().equals("max_steps")) {
      settings.integer(1, Integer.MAX_VALUE, "max_steps").ifPresent(spec::steps);
      return OptionalDouble.empty();
    }
    spec.steps(1);
    return settings.above(0, "num_train_epochs");
  }

  private Validation validation() {
    Optional<Found> found = settings.find("validation");
    if (found.isEmpty()) {
      return new Validation.None();
    }
    if (!found.get().value().isNumber()) {
      return new Validation.File(Settings.path(folder, found.get()));
    }
    double fraction = found.get().value().doubleValue();
    if (!(fraction > 0 && fraction < 1)) {
      throw found.get().wrong("a file, or a number above 0 and below 1");
    }
    return new Validation.Fraction(fraction);
  }
}
