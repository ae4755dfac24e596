package dev.lorikeet.jlama;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.BaseModelConformance;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.jlama.lora.VectorLoraExecutorProvider;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import java.util.Optional;

/** The model on the pool, store and executor that users run it with. */
class JlamaModelConformanceTest extends BaseModelConformance {
  private final Plugins plugins = Plugins.discover();

  @Override
  protected BaseModel openModel(ModelConfig config) {
    return new JlamaModelProvider().open(config);
  }

  @Override
  protected PagePool createPool(PoolConfig config) {
    return plugins.pagePool(Optional.of("arrow")).open(config);
  }

  @Override
  protected AdapterStore createStore(StoreConfig config) {
    return plugins.adapterStore(Optional.of("arrow")).open(config);
  }

  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new VectorLoraExecutorProvider().open(ExecutorConfig.of(workers));
  }

  @Override
  protected Optional<BaseModelProvider> provider() {
    return Optional.of(new JlamaModelProvider());
  }
}
