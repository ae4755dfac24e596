/**
 * Every file format that Lorikeet reads, always as hostile, or writes: JSON, safetensors, Hugging
 * Face model directories, GGUF files, PEFT adapters.
 */
module dev.lorikeet.files {
  requires transitive dev.lorikeet.spi;
  requires transitive com.fasterxml.jackson.databind;
  requires static org.jspecify;
  requires com.fasterxml.jackson.core;

  exports dev.lorikeet.files;
  exports dev.lorikeet.files.adapter;
  exports dev.lorikeet.files.family;
  exports dev.lorikeet.files.gate;
  exports dev.lorikeet.files.gguf;
  exports dev.lorikeet.files.model;
  exports dev.lorikeet.files.peft;
  exports dev.lorikeet.files.safetensors;
  exports dev.lorikeet.files.text;
}
