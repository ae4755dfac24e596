package dev.lorikeet.host.serving;

/** Observers of hidden states, with real ones: the rows must be the same in any batch. */
class DecodedHiddenObserverTest extends HiddenObserverTest {
  @Override
  ServedModel model() {
    return RandomLlama.get();
  }
}
