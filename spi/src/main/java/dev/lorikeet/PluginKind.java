package dev.lorikeet;

import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.routing.RouterProvider;

/** The contracts that plugins provide. */
public enum PluginKind {
  /** Page pools. */
  PAGE_POOL("page pool", PagePoolProvider.class),
  /** Adapter stores. */
  ADAPTER_STORE("adapter store", AdapterStoreProvider.class),
  /** LoRA executors. */
  LORA_EXECUTOR("LoRA executor", LoraExecutorProvider.class),
  /** Routers. */
  ROUTER("router", RouterProvider.class),
  /** Base models. */
  BASE_MODEL("base model", BaseModelProvider.class);

  private final String title;
  private final Class<? extends PluginProvider> providerType;

  PluginKind(String title, Class<? extends PluginProvider> providerType) {
    this.title = title;
    this.providerType = providerType;
  }

  /** Returns the words for people. */
  public String title() {
    return title;
  }

  /** Returns the service interface. */
  public Class<? extends PluginProvider> providerType() {
    return providerType;
  }
}
