package dev.lorikeet.host.serving;

/** Mixtures of each token, with real adapters: the bits must be a router's. */
class DecodedPerTokenTest extends PerTokenTest {
  @Override
  ServedModel model() {
    return RandomLlama.get();
  }
}
