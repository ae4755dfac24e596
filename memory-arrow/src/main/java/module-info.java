/**
 * Off-heap memory on Apache Arrow: a page pool that KV cache and adapters share, and an adapter
 * store that reads PEFT adapters into it.
 */
module dev.lorikeet.arrow {
  requires transitive dev.lorikeet.spi;
  requires static org.jspecify;
  requires dev.lorikeet.files;
  requires io.opentelemetry.api;
  requires jdk.management;
  requires org.apache.arrow.format;
  requires org.apache.arrow.memory.core;
  requires org.apache.arrow.vector;

  exports dev.lorikeet.arrow;

  opens org.apache.arrow.memory.unsafe to
      org.apache.arrow.memory.core;

  provides dev.lorikeet.adapter.AdapterStoreProvider with
      dev.lorikeet.arrow.ArrowAdapterStoreProvider;
  provides dev.lorikeet.memory.PagePoolProvider with
      dev.lorikeet.arrow.ArrowPagePoolProvider;
}
