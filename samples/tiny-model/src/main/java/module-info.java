/** A small model with four LoRA adapters and reference outputs, for tests, samples and demos. */
module dev.lorikeet.tiny {
  requires static org.jspecify;

  exports dev.lorikeet.tiny;
}
