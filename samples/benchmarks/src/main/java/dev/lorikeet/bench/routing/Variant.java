package dev.lorikeet.bench.routing;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.routing.Mixture;
import java.util.List;

/** How sequences come to their adapters. */
enum Variant {
  BASE("base model", "delta", false),
  REQUEST("one mixture of two for all", "delta", false),
  TOKEN("token-wise, top-2", "delta", false),
  TOKEN_MERGED("token-wise, top-2, merged at every token", "merge", false),
  LAYER("layer-wise, top-2, one call for each module group", "delta", false),
  LAYER_PER_MODULE("layer-wise, top-2, one call for each adapter and module", "delta", true);

  static final String TOKEN_GATE = "token-gate";
  static final String LAYER_GATE = "layer-gate";

  private final String title;
  private final String switching;
  private final boolean perModule;

  Variant(String title, String switching, boolean perModule) {
    this.title = title;
    this.switching = switching;
    this.perModule = perModule;
  }

  String title() {
    return title;
  }

  /** Returns which of the opened models runs it. */
  Host host() {
    return new Host(switching, perModule);
  }

  /** A batch of more than one sequence has no common mixture to merge. */
  boolean runsAt(int batch) {
    return this != TOKEN_MERGED || batch == 1;
  }

  /** Gives a request its adapters. */
  void apply(GenerationRequest.Builder request, List<String> adapters) {
    switch (this) {
      case BASE -> {}
      case REQUEST -> request.adapter(new AdapterChoice.Mixed(pair(adapters, 0)));
      case TOKEN, TOKEN_MERGED -> request.router(TOKEN_GATE);
      case LAYER, LAYER_PER_MODULE -> request.router(LAYER_GATE);
    }
  }

  /** Returns a mixture of two adapters; other numbers give other mixtures. */
  static Mixture pair(List<String> adapters, int number) {
    int first = number % adapters.size();
    int step = 1 + number / adapters.size() % (adapters.size() - 1);
    return Mixture.of(
        new Mixture.Share(adapters.get(first), 0.6f),
        new Mixture.Share(adapters.get((first + step) % adapters.size()), 0.4f));
  }

  /**
   * A model as it is opened.
   *
   * @param switching the base model's option
   * @param perModule whether the executor is the baseline
   */
  record Host(String switching, boolean perModule) {}
}
