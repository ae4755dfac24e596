/** A small model with four LoRA adapters and reference outputs, for tests, samples and demos. */
module dev.lorikeet.tiny {
  requires static transitive org.jspecify;

  exports dev.lorikeet.tiny;
}
