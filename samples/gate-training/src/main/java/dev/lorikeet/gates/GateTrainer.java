package dev.lorikeet.gates;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.gate.GateForm;
import dev.lorikeet.files.gate.GateWriter;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Score;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;

/** Trains a gate on a frozen base model with frozen adapters, and saves it. */
public final class GateTrainer {
  private static final double WEIGHT_DECAY = 0.01;

  private GateTrainer() {}

  /**
   * What a training came to.
   *
   * @param trainingDocuments documents to learn from
   * @param trainingTokens their tokens
   * @param validationDocuments documents to choose the best epoch by
   * @param validationTokens their tokens
   * @param epochs the quality on the validation documents after each epoch; with a gate for each
   *     layer their mean
   * @param kept the quality of what was saved, likewise
   * @param layers the quality of each layer's gate that was saved; empty for a token-wise gate
   */
  public record Outcome(
      int trainingDocuments,
      int trainingTokens,
      int validationDocuments,
      int validationTokens,
      List<GateQuality> epochs,
      GateQuality kept,
      List<GateQuality> layers) {
    public Outcome {
      layers = List.copyOf(layers);
      epochs = List.copyOf(epochs);
    }
  }

  /**
   * Trains and saves a gate.
   *
   * @param texts text of each adapter; the adapters are registered
   * @param directory receives {@code router.json} and {@code router.safetensors}
   * @throws LorikeetException with code {@code INVALID_REQUEST} if there is too little text
   */
  public static Outcome train(
      Lorikeet lorikeet, List<LabelledText> texts, GatePlan plan, Path directory, Progress progress)
      throws IOException {
    BaseModel model = lorikeet.model();
    List<String> adapters = texts.stream().map(LabelledText::adapter).toList();
    List<LabelledText> train = new ArrayList<>();
    List<LabelledText> validate = new ArrayList<>();
    for (LabelledText text : texts) {
      List<LabelledText> parts = text.split(plan.validation());
      train.add(parts.getFirst());
      validate.add(parts.getLast());
    }
    List<MixedDocument> training =
        enough("training", MixedDocument.mix(model, train, plan.mixing(), plan.seed()));
    List<MixedDocument> validation =
        enough("validation", MixedDocument.mix(model, validate, plan.mixing(), plan.seed() + 1));

    Files.createDirectories(directory);
    Experts experts = new Experts(adapters, plan.topK());
    List<MixedDocument> all = new ArrayList<>(training);
    all.addAll(validation);
    Learner learner = learner(model, experts, all, plan);
    learner.gates().standardizeBy(Moments.of(learner.features(), training));
    List<GateTraining.Example> learned = examples(model, adapters, training, plan, progress);
    List<GateTraining.Example> judged = examples(model, adapters, validation, plan, progress);

    GateTraining gate =
        new GateTraining(
            learner.features(),
            learner.gates(),
            new GateTraining.Settings(plan.epochs(), plan.rate(), WEIGHT_DECAY, plan.seed() + 1));
    List<GateQuality> epochs = new ArrayList<>();
    progress.begin("training", plan.epochs());
    List<GateQuality> kept =
        gate.run(
            learned,
            judged,
            quality -> {
              epochs.add(quality);
              progress.step();
            });
    Outcome outcome =
        new Outcome(
            training.size(),
            tokens(training),
            validation.size(),
            tokens(validation),
            epochs,
            GateQuality.mean(kept),
            plan.scope() == GatePlan.Scope.LAYER ? kept : List.of());
    GateWriter.write(
        directory,
        new GateForm(
            plan.scope() == GatePlan.Scope.LAYER,
            experts,
            plan.context(),
            model.info().shape().hidden(),
            plan.inner()),
        learner.gates().fold(),
        provenance(plan, outcome));
    return outcome;
  }

  /** Gates that know nothing yet, and what they see. */
  private record Learner(GateFeatures features, Gates gates) {}

  private static Learner learner(
      BaseModel model, Experts experts, List<MixedDocument> documents, GatePlan plan) {
    Random random = new Random(plan.seed());
    int adapters = experts.adapters().size();
    return switch (plan.scope()) {
      case TOKEN -> {
        Set<Integer> ids = new TreeSet<>();
        documents.forEach(document -> ids.addAll(document.tokens()));
        TokenEmbeddings embeddings = TokenEmbeddings.record(model, ids);
        GateFeatures features = new TokenFeatures(embeddings, plan.context());
        yield new Learner(features, new Gates(1, features.size(), plan.inner(), adapters, random));
      }
      case LAYER -> {
        ModelShape shape = model.info().shape();
        Gates gates = new Gates(shape.layers(), shape.hidden(), plan.inner(), adapters, random);
        yield new Learner(new LayerFeatures(model, experts, gates), gates);
      }
    };
  }

  private static List<MixedDocument> enough(String what, List<MixedDocument> documents) {
    if (documents.isEmpty()) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          what
              + " text: expected enough of each adapter for a passage in one document, found too"
              + " little; give more text or shorter passages");
    }
    return documents;
  }

  private static List<GateTraining.Example> examples(
      BaseModel model,
      List<String> adapters,
      List<MixedDocument> documents,
      GatePlan plan,
      Progress progress) {
    return switch (plan.targets()) {
      case LABELS ->
          documents.stream()
              .map(document -> GateTraining.Example.ofLabels(document, adapters.size()))
              .toList();
      case LIKELIHOOD -> {
        progress.begin("scoring", adapters.size() * documents.size());
        List<List<Score>> scores =
            adapters.stream()
                .map(
                    adapter ->
                        Scores.of(model, documents, AdapterChoice.named(adapter), progress::step))
                .toList();
        List<GateTraining.Example> examples = new ArrayList<>();
        for (int d = 0; d < documents.size(); d++) {
          int document = d;
          examples.add(
              GateTraining.Example.ofLikelihoods(
                  documents.get(d), scores.stream().map(list -> list.get(document)).toList()));
        }
        yield examples;
      }
    };
  }

  private static int tokens(List<MixedDocument> documents) {
    return documents.stream().mapToInt(document -> document.tokens().size()).sum();
  }

  private static Map<String, Object> provenance(GatePlan plan, Outcome outcome) {
    Map<String, Object> notes = new LinkedHashMap<>();
    notes.put("targets", plan.targets().toString());
    notes.put("epochs", plan.epochs());
    notes.put("learning_rate", plan.rate());
    notes.put("passage_words", List.of(plan.mixing().leastWords(), plan.mixing().mostWords()));
    notes.put("seed", plan.seed());
    notes.put("documents", outcome.trainingDocuments());
    notes.put("tokens", outcome.trainingTokens());
    notes.put("validation_loss", outcome.kept().loss());
    notes.put("validation_cross_entropy", outcome.kept().crossEntropy());
    notes.put("validation_accuracy", outcome.kept().accuracy());
    return notes;
  }
}
