/** Groups of threads or processes that work together: how they meet, and what they say. */
module dev.lorikeet.cluster {
  requires transitive dev.lorikeet.spi;
  requires static org.jspecify;

  exports dev.lorikeet.cluster;
}
