/** Trains gates that route tokens to adapters, and judges routers by perplexity. */
module dev.lorikeet.gates {
  requires transitive dev.lorikeet.spi;
  requires dev.lorikeet.files;
  requires static org.jspecify;
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;

  exports dev.lorikeet.gates;
}
