/**
 * The service provider interface of Lorikeet: contracts for page pools, adapter stores, LoRA
 * executors, routers and base models, their discovery through {@link java.util.ServiceLoader}, and
 * the host API that applications use. Depends on the JDK alone.
 */
module dev.lorikeet.spi {
  requires static org.jspecify;

  exports dev.lorikeet;
  exports dev.lorikeet.adapter;
  exports dev.lorikeet.executor;
  exports dev.lorikeet.memory;
  exports dev.lorikeet.model;
  exports dev.lorikeet.plugin;
  exports dev.lorikeet.routing;
  exports dev.lorikeet.shape;
  exports dev.lorikeet.tensor;

  uses dev.lorikeet.adapter.AdapterStoreProvider;
  uses dev.lorikeet.executor.LoraExecutorProvider;
  uses dev.lorikeet.memory.PagePoolProvider;
  uses dev.lorikeet.model.BaseModelProvider;
  uses dev.lorikeet.routing.RouterProvider;
}
