package dev.lorikeet.conformance.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.conformance.tensor.MemoryAdapter.Factors;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.routing.Mixture;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/** One request on its way, owned by the decoding thread once it is queued. */
final class ReferenceTask {
  private static final int CHUNK = 16;

  final List<Integer> prompt;
  final ReferenceLog log;
  final List<AdapterLease> leases = new ArrayList<>();
  int[] pages = new int[0];
  int neededPages;
  Mixture mixture = Mixture.none();

  /** A mixture for each token of the prompt, where the request states them. */
  List<Mixture> stated = List.of();

  Optional<ReferenceRouting> router = Optional.empty();
  Optional<List<Double>> scored = Optional.empty();

  private final ReferenceModel model;
  private final GenerationRequest request;
  private final RequestObserver observer;
  private final SplittableRandom random;
  private final long submitted = System.nanoTime();
  private PlainTransformer.Sequence sequence;
  private Choice choice = PlainTransformer.always();
  private double[] logits = {};

  ReferenceTask(
      ReferenceModel model,
      GenerationRequest request,
      RequestObserver observer,
      List<Integer> prompt) {
    this.model = model;
    this.request = request;
    this.observer = observer;
    this.prompt = prompt;
    this.sequence = model.transformer.new Sequence();
    this.random = new SplittableRandom(request.sampling().seed());
    this.log = new ReferenceLog(request, observer, prompt.size(), model.tokenizer);
  }

  /** Takes the pages that its keys and values will lie in. */
  void begin(int[] pages) {
    this.pages = pages;
    sequence =
        model.transformer
        .new Sequence(new PagedKeyValues(model.config.pool(), model.info.shape(), pages));
  }

  int longest() {
    return Math.min(prompt.size() + request.stop().maxTokens(), model.info.maxPositions());
  }

  void readAdapters() {
    List<List<Factors>> experts = new ArrayList<>();
    List<Share> shares = new ArrayList<>();
    for (int i = 0; i < leases.size(); i++) {
      experts.add(factors(leases.get(i)));
      shares.add(new Share(experts.get(i), model.weight(mixture.shares().get(i).weight())));
    }
    router.ifPresent(r -> r.use(experts));
    choice =
        router.isPresent()
            ? router.get()
            : stated.isEmpty()
                ? PlainTransformer.always(shares.toArray(new Share[0]))
                : (layer, input) -> shares(stated(sequence.length()), experts);
    if (observer.onHidden().isPresent()) {
      choice = new ObservedChoice(choice, observer, model.info.shape().layers(), sequence);
    }
  }

  private Mixture stated(int position) {
    return stated.get(Math.min(position, stated.size() - 1));
  }

  private List<Share> shares(Mixture of, List<List<Factors>> experts) {
    List<String> names = mixture.shares().stream().map(Mixture.Share::adapter).toList();
    return of.shares().stream()
        .map(s -> new Share(experts.get(names.indexOf(s.adapter())), model.weight(s.weight())))
        .toList();
  }

  /** Returns the mixture that computed the logits at hand. */
  private Mixture reported() {
    return stated.isEmpty()
        ? router.map(ReferenceRouting::mixture).orElse(mixture)
        : stated(sequence.length() - 1);
  }

  private static List<Factors> factors(AdapterLease lease) {
    List<Factors> list = new ArrayList<>();
    for (TargetSpec t : lease.spec().targets()) {
      var w = lease.weights(t.target()).orElseThrow();
      list.add(
          new Factors(
              t.target(),
              t.inFeatures(),
              t.outFeatures(),
              t.aBlocks(),
              t.bBlocks(),
              w.scaling(),
              rows(w.a()),
              rows(w.b())));
    }
    return list;
  }

  private static float[][] rows(LoraFactor factor) {
    float[][] rows = new float[factor.rank()][factor.rowLength()];
    for (int r = 0; r < rows.length; r++) {
      for (int i = 0; i < rows[r].length; i++) {
        rows[r][i] = ElementCodec.get(factor, r, i);
      }
    }
    return rows;
  }

  boolean isOver() {
    return log.isCancelled() || isLate();
  }

  private boolean isLate() {
    return request.timeout().isPresent()
        && System.nanoTime() - submitted > request.timeout().get().toNanos();
  }

  LorikeetException overReason() {
    return log.isCancelled()
        ? new LorikeetException(Code.CANCELLED, "cancelled")
        : new LorikeetException(Code.DEADLINE_EXCEEDED, "timeout: " + request.timeout());
  }

  /** Takes the sequence further; returns whether it ended. */
  boolean advance() {
    try {
      if (isOver()) {
        fail(overReason());
        return true;
      }
      for (int i = 0; i < CHUNK && sequence.length() < prompt.size(); i++) {
        int position = sequence.length();
        logits = sequence.next(prompt.get(position), choice);
        expectSound(position);
        if (scored.isPresent() && position + 1 < prompt.size()) {
          scored.get().add(logProbability(logits, prompt.get(position + 1)));
        }
      }
      if (sequence.length() < prompt.size()) {
        return false;
      }
      if (scored.isPresent()) {
        end(FinishReason.LENGTH);
        return true;
      }
      return generate();
    } catch (LorikeetException e) {
      fail(e);
      return true;
    }
  }

  private boolean generate() {
    int index = log.count();
    logits = model.bent(logits);
    observer
        .onLogits()
        .ifPresent(seer -> seer.onLogits(index, MemorySegment.ofArray(floats(logits))));
    int token = model.draw(logits, request.sampling(), random);
    boolean eos =
        request.stop().tokens().contains(token)
            || (!request.stop().ignoreEos() && model.info.eosTokens().contains(token));
    boolean last =
        index + 1 >= request.stop().maxTokens()
            || prompt.size() + index + 1 >= model.info.maxPositions();
    Optional<FinishReason> reason =
        log.append(token, eos, last, (float) logProbability(logits, token), reported());
    if (reason.isPresent()) {
      end(reason.get());
      return true;
    }
    int position = sequence.length();
    logits = sequence.next(token, choice);
    expectSound(position);
    return false;
  }

  private void expectSound(int position) {
    if (!model.sound(logits)) {
      throw new LorikeetException(Code.NOT_FINITE, "logits at position " + position + ": NaN");
    }
  }

  static double logProbability(double[] logits, int token) {
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit);
    }
    return logits[token] - Math.log(sum);
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  private void end(FinishReason reason) {
    release();
    log.complete(reason);
  }

  void fail(LorikeetException failure) {
    release();
    log.fail(failure);
  }

  void release() {
    leases.forEach(AdapterLease::close);
    leases.clear();
    int[] held = pages;
    pages = new int[0];
    model.freePages(held);
  }
}
