package dev.lorikeet.conformance.runner;

import dev.lorikeet.PluginKind;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.AdapterStoreConformance;
import dev.lorikeet.conformance.BaseModelConformance;
import dev.lorikeet.conformance.LoraExecutorConformance;
import dev.lorikeet.conformance.PagePoolConformance;
import dev.lorikeet.conformance.RouterConformance;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Map;
import java.util.Optional;

/** The suite's classes for a provider that was found in a jar. */
final class ProviderUnderTest {
  /**
   * What is tested: bound around the run, and read when JUnit makes an instance.
   *
   * @param provider the provider
   * @param options what it is opened with
   */
  record Subject(PluginProvider provider, Map<String, String> options) {}

  static final ScopedValue<Subject> SUBJECT = ScopedValue.newInstance();

  private ProviderUnderTest() {}

  static Class<?> suite(PluginKind kind) {
    return switch (kind) {
      case PAGE_POOL -> Pool.class;
      case ADAPTER_STORE -> Store.class;
      case LORA_EXECUTOR -> Executor.class;
      case ROUTER -> Routing.class;
      case BASE_MODEL -> Model.class;
    };
  }

  static final class Pool extends PagePoolConformance {
    private final Subject subject = SUBJECT.get();
    private final PagePoolProvider provider = (PagePoolProvider) subject.provider;

    @Override
    protected Map<String, String> options() {
      return subject.options;
    }

    @Override
    protected PagePool createPool(PoolConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<PagePoolProvider> provider() {
      return Optional.of(provider);
    }
  }

  static final class Store extends AdapterStoreConformance {
    private final Subject subject = SUBJECT.get();
    private final AdapterStoreProvider provider = (AdapterStoreProvider) subject.provider;

    @Override
    protected Map<String, String> options() {
      return subject.options;
    }

    @Override
    protected AdapterStore createStore(StoreConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<AdapterStoreProvider> provider() {
      return Optional.of(provider);
    }
  }

  static final class Executor extends LoraExecutorConformance {
    private final Subject subject = SUBJECT.get();
    private final LoraExecutorProvider provider = (LoraExecutorProvider) subject.provider;

    @Override
    protected Map<String, String> options() {
      return subject.options;
    }

    @Override
    protected LoraExecutor createExecutor(Workers workers) {
      return provider.open(ExecutorConfig.of(workers).withOptions(options()));
    }

    @Override
    protected Optional<LoraExecutorProvider> provider() {
      return Optional.of(provider);
    }
  }

  static final class Routing extends RouterConformance {
    private final Subject subject = SUBJECT.get();
    private final RouterProvider provider = (RouterProvider) subject.provider;

    @Override
    protected Map<String, String> options() {
      return subject.options;
    }

    @Override
    protected Router createRouter(RouterConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<RouterProvider> provider() {
      return Optional.of(provider);
    }
  }

  static final class Model extends BaseModelConformance {
    private final Subject subject = SUBJECT.get();
    private final BaseModelProvider provider = (BaseModelProvider) subject.provider;

    @Override
    protected Map<String, String> options() {
      return subject.options;
    }

    @Override
    protected BaseModel openModel(ModelConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<BaseModelProvider> provider() {
      return Optional.of(provider);
    }
  }
}
