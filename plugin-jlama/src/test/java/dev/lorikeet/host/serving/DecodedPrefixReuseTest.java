package dev.lorikeet.host.serving;

/** Sharing of keys and values, with real ones: the bits must be the same. */
class DecodedPrefixReuseTest extends PrefixReuseTest {
  @Override
  ServedModel model() {
    return RandomLlama.get();
  }
}
