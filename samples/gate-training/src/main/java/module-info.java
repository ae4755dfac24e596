/** Trains gates that route tokens to adapters, and judges routers by perplexity. */
module dev.lorikeet.gates {
  requires transitive dev.lorikeet.spi;
  requires dev.lorikeet.files;
  requires static org.jspecify;

  exports dev.lorikeet.gates;
}
