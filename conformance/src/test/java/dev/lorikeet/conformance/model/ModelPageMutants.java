package dev.lorikeet.conformance.model;

import dev.lorikeet.model.ModelConfig;
import java.util.Arrays;

/** Base models that give back the pages of keys and values too early, or not at all. */
final class ModelPageMutants {
  private ModelPageMutants() {}

  /** Lets the first page of a long sequence go to whoever asks next. */
  static final class ReusesEarly extends ReferenceModel {
    private static final int LONG = 30;

    ReusesEarly(ModelConfig config) {
      super(config);
    }

    @Override
    boolean begin(ReferenceTask task) {
      boolean begun = super.begin(task);
      if (begun && task.pages.length > LONG) {
        config.pool().free(task.pages, 0, 1);
        task.pages = Arrays.copyOfRange(task.pages, 1, task.pages.length);
      }
      return begun;
    }
  }

  static final class LeaksPages extends ReferenceModel {
    LeaksPages(ModelConfig config) {
      super(config);
    }

    @Override
    void freePages(int[] pages) {
      config.pool().free(pages, 0, Math.max(0, pages.length - 1));
    }
  }
}
