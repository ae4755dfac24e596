package dev.lorikeet.host.serving;

import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.Tokenizer;
import java.util.List;

/**
 * A model that tests of the engine serve: the fake one, or one that a plugin computes, which then
 * has to pass the same tests. Its decoder has {@link SteppedServing#LAYERS} layers, and blocks and
 * pages as {@link SteppedServing} says.
 */
interface ServedModel {
  /** Returns what is known of the model; its vocabulary has at least the tokens of a prompt. */
  ModelInfo info();

  Tokenizer tokenizer();

  /** Opens a pool of so many pages. */
  PagePool openPool(int pages);

  /** Opens an empty store. */
  AdapterStore openStore(PagePool pool);

  /** Returns where one of the adapters is, to be registered under a name. */
  AdapterSource adapter(String name, int number);

  /** Opens a decoder. */
  Opened openDecoder(PagePool pool, Limits limits);

  /**
   * A decoder, and what is to be closed after it, in this order.
   *
   * @param lent what was opened for the decoder
   */
  record Opened(StepDecoder decoder, List<AutoCloseable> lent) {}
}
