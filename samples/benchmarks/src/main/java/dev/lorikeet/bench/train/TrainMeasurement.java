package dev.lorikeet.bench.train;

import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.process.Contestant;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.train.LearnerProcess.Answer;
import dev.lorikeet.bench.train.LearnerProcess.Opening;
import dev.lorikeet.bench.train.LearnerProcess.Question;
import dev.lorikeet.bench.train.TrainReport.Memory;
import dev.lorikeet.bench.train.TrainReport.Peer;
import dev.lorikeet.bench.train.TrainReport.Row;
import dev.lorikeet.bench.train.TrainReport.Trial;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.trainer.MemoryPlan;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Measures mixes of tasks, round after round, all at once, one after the other, and with PyTorch;
 * the order turns with every round. Contenders have processes of their own, which stay.
 */
final class TrainMeasurement implements AutoCloseable {
  private static final double RATE = 2e-4;
  private static final int TRIAL_STEPS = 3;
  private static final int WARM_UPS = 2;
  private static final String[] HEAP = {"-Xms192m", "-Xmx192m", "-XX:+AlwaysPreTouch"};

  private final Setting setting;
  private final Output output;
  private final Contestant lorikeet;
  private final Map<TorchPeer.Settings, Contestant> peers = new HashMap<>();
  private final Map<Integer, TorchPeer.Settings> bestPeer = new TreeMap<>();
  private final List<Trial> tried = new ArrayList<>();
  private final Map<Mix, Rounds> rounds = new LinkedHashMap<>();

  /**
   * What is measured.
   *
   * @param adapters PEFT directories, at least as many as a mix has tasks
   * @param maxTokens of a micro-batch
   * @param tokens of a run, about
   * @param log where processes write their errors
   */
  record Setting(
      Path model,
      ModelShape shape,
      int rank,
      List<String> adapters,
      int threads,
      int maxTokens,
      long activationBytes,
      int tokens,
      Path log) {
    Opening opening(int most) {
      return new Opening(model.toString(), threads, rank, most, activationBytes);
    }

    Question question(Mix mix, int steps, long seed, boolean together) {
      return new Question(
          adapters.subList(0, mix.tasks()),
          mix.ids(steps, shape.vocabulary(), seed),
          RATE,
          together);
    }
  }

  /** What was found of a mix, by round. */
  private static final class Rounds {
    private final List<Double> together = new ArrayList<>();
    private final List<Double> apart = new ArrayList<>();
    private final List<Double> peer = new ArrayList<>();
    private double firstLossDifference;
    private double lossDifference;
    private long peerPeak;

    void compare(double[][] ours, double[][] theirs) {
      for (int task = 0; task < ours.length; task++) {
        for (int step = 0; step < ours[task].length; step++) {
          double difference = Math.abs(ours[task][step] - theirs[task][step]);
          lossDifference = Math.max(lossDifference, difference);
          if (step == 0) {
            firstLossDifference = Math.max(firstLossDifference, difference);
          }
        }
      }
    }
  }

  TrainMeasurement(Setting setting, Output output) throws IOException, NotAvailable {
    this.setting = setting;
    this.output = output;
    this.lorikeet = start(setting.maxTokens());
  }

  private Contestant start(int most, String... options) throws IOException, NotAvailable {
    List<String> command = Contestant.java(LearnerProcess.class, options);
    Contestant process = Contestant.start(command, Map.of(), setting.log());
    try {
      told(process.ask(setting.opening(most), Answer.class));
      return process;
    } catch (IOException | NotAvailable | RuntimeException e) {
      process.close();
      throw e;
    }
  }

  private static Answer told(Answer answer) throws NotAvailable {
    String failure = answer.failure();
    if (failure != null) {
      throw new NotAvailable(failure);
    }
    return answer;
  }

  /** Finds PyTorch's fastest settings for each length of the mixes; says why if there are none. */
  Optional<String> tune(TorchPeer torch, List<Mix> mixes) throws IOException {
    List<Integer> lengths =
        mixes.stream().flatMap(mix -> mix.lengths().stream()).distinct().sorted().toList();
    for (TorchPeer.Settings settings : TorchPeer.candidates()) {
      Trial trial = measure(torch, settings, lengths);
      tried.add(trial);
      String failure = trial.failure();
      output.says(
          "  PyTorch "
              + settings
              + ": "
              + (failure == null ? trial.tokensPerSecond() : "not available: " + failure));
    }
    for (int length : lengths) {
      tried.stream()
          .filter(trial -> trial.failure() == null)
          .max(Comparator.comparingDouble(t -> t.tokensPerSecond().getOrDefault(length, 0.0)))
          .ifPresent(best -> bestPeer.put(length, best.settings()));
    }
    peers.forEach(
        (settings, process) -> {
          if (!bestPeer.containsValue(settings)) {
            process.close();
          }
        });
    return bestPeer.isEmpty()
        ? Optional.of(String.valueOf(tried.getFirst().failure()))
        : Optional.empty();
  }

  private Trial measure(TorchPeer torch, TorchPeer.Settings settings, List<Integer> lengths)
      throws IOException {
    Map<Integer, Double> rates = new TreeMap<>();
    Rounds agreement = new Rounds();
    try {
      Contestant process = torch.start(settings);
      peers.put(settings, process);
      for (int length : lengths) {
        Mix one = new Mix("1x" + length, List.of(length));
        Question question = setting.question(one, TRIAL_STEPS, 1, false);
        Answer answer = ask(process, question);
        rates.put(length, (double) Math.round(answer.tokensPerSecond()));
        double[][] ours = ask(lorikeet, question).losses();
        double[][] theirs = answer.losses();
        if (ours != null && theirs != null) {
          agreement.compare(ours, theirs);
        }
      }
      return new Trial(settings, rates, agreement.firstLossDifference, null);
    } catch (NotAvailable e) {
      return new Trial(settings, rates, agreement.firstLossDifference, e.reason());
    }
  }

  List<Trial> tried() {
    return List.copyOf(tried);
  }

  /** Warms up, and measures. */
  void measure(List<Mix> mixes, int peerTasks, int count) throws IOException, NotAvailable {
    var progress = output.progress("mixes", (long) (WARM_UPS + count) * mixes.size());
    for (int round = -WARM_UPS; round < count; round++) {
      output.says(round < 0 ? "warming up" : "round " + (round + 1) + " of " + count);
      for (Mix mix : mixes) {
        boolean compared = mix.tasks() <= peerTasks && round >= 0 && !bestPeer.isEmpty();
        Rounds found = round < 0 ? new Rounds() : rounds.computeIfAbsent(mix, m -> new Rounds());
        round(mix, round + WARM_UPS, compared, found);
        progress.ifPresent(bar -> bar.step());
      }
    }
    progress.ifPresent(bar -> bar.close());
  }

  private void round(Mix mix, int round, boolean compared, Rounds found)
      throws IOException, NotAvailable {
    int steps = 1 + mix.steps(setting.tokens());
    double @Nullable [][] ours = null;
    double @Nullable [][] theirs = null;
    for (int turn = 0; turn < 3; turn++) {
      switch ((turn + round) % 3) {
        case 0 -> {
          Answer answer = ask(lorikeet, setting.question(mix, steps, round, true));
          found.together.add(answer.tokensPerSecond());
          ours = answer.losses();
        }
        case 1 -> {
          if (mix.tasks() > 1) {
            found.apart.add(
                ask(lorikeet, setting.question(mix, steps, round, false)).tokensPerSecond());
          }
        }
        default -> {
          if (compared) {
            theirs = askPeers(mix, setting.question(mix, steps, round, false), found);
          }
        }
      }
    }
    if (mix.tasks() == 1) {
      found.apart.add(found.together.getLast());
    }
    if (ours != null && theirs != null) {
      found.compare(ours, theirs);
    }
  }

  private static Answer ask(Contestant process, Question question)
      throws IOException, NotAvailable {
    return told(process.ask(question, Answer.class));
  }

  /** Asks for the tasks of each length in turn, with the settings that suit it. */
  private double[][] askPeers(Mix mix, Question all, Rounds found)
      throws IOException, NotAvailable {
    double[][] losses = new double[mix.tasks()][];
    long tokens = 0;
    double seconds = 0;
    for (int task = 0; task < mix.tasks(); task++) {
      Contestant process = peer(mix.lengths().get(task));
      Question one =
          new Question(
              List.of(all.adapters().get(task)), List.of(all.ids().get(task)), RATE, false);
      Answer answer = ask(process, one);
      double[][] of = answer.losses();
      losses[task] = of == null ? new double[0] : of[0];
      tokens += answer.tokens();
      seconds += answer.seconds();
      found.peerPeak = Math.max(found.peerPeak, answer.peakBytes());
    }
    found.peer.add(tokens / seconds);
    return losses;
  }

  private Contestant peer(int length) throws NotAvailable {
    TorchPeer.Settings settings = bestPeer.get(length);
    Contestant process = settings == null ? null : peers.get(settings);
    if (process == null) {
      throw new NotAvailable("no settings for " + length + " tokens");
    }
    return process;
  }

  /** Returns what was found of each mix. */
  List<Row> rows(double peakFlops) throws IOException, NotAvailable {
    List<Row> rows = new ArrayList<>();
    for (Map.Entry<Mix, Rounds> entry : rounds.entrySet()) {
      Mix mix = entry.getKey();
      Rounds found = entry.getValue();
      double flops =
          mix.lengths().stream()
              .mapToDouble(length -> StepFlops.of(setting.shape(), setting.rank(), length))
              .sum();
      Statistic together = Statistic.of(found.together);
      double perSecond = flops * together.median() / mix.tokens();
      output.says("memory of " + mix.title());
      rows.add(
          new Row(
              mix.title(),
              mix.lengths(),
              together,
              Statistic.of(found.apart),
              ratio(found.together, found.apart),
              flops,
              perSecond,
              perSecond / peakFlops,
              found.peer.isEmpty() ? null : peer(mix, found),
              memory(mix)));
    }
    return rows;
  }

  private Peer peer(Mix mix, Rounds found) {
    return new Peer(
        Optional.ofNullable(bestPeer.get(mix.lengths().getFirst())).orElseThrow(),
        Statistic.of(found.peer),
        ratio(found.together, found.peer),
        found.firstLossDifference,
        found.lossDifference,
        found.peerPeak);
  }

  private static Statistic ratio(List<Double> of, List<Double> to) {
    List<Double> ratios = new ArrayList<>();
    for (int round = 0; round < of.size(); round++) {
      ratios.add(of.get(round) / to.get(round));
    }
    return Statistic.of(ratios);
  }

  /**
   * Trains a mix in a fresh process, which gets as much memory as the mix needs. Its heap has a
   * fixed size, all of it resident, so that the rest can be told apart.
   */
  private Memory memory(Mix mix) throws IOException, NotAvailable {
    int most = Math.min(mix.tokens(), setting.maxTokens());
    try (Contestant process = start(most, HEAP)) {
      Answer answer = ask(process, setting.question(mix, TRIAL_STEPS, 0, true));
      MemoryPlan plan = Optional.ofNullable(answer.plan()).orElseThrow();
      double ratio = (double) (answer.peakBytes() - answer.jvmBytes()) / plan.total();
      return new Memory(plan, plan.total(), answer.peakBytes(), answer.jvmBytes(), ratio);
    }
  }

  @Override
  public void close() {
    lorikeet.close();
    peers.values().forEach(Contestant::close);
  }
}
