/** Tokenization, streaming detokenization and chat templates, as Hugging Face has them. */
module dev.lorikeet.text {
  requires transitive dev.lorikeet.files;
  requires static org.jspecify;
  requires ai.djl.tokenizers;

  exports dev.lorikeet.text;
}
