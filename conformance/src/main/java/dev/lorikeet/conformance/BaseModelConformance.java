package dev.lorikeet.conformance;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.executor.ReferenceExecutor;
import dev.lorikeet.conformance.model.FailureRules;
import dev.lorikeet.conformance.pool.LentPool;
import dev.lorikeet.conformance.store.ReferenceStore;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import java.util.Optional;

/**
 * Rules M1 to M26 as tests. Extend it with {@link #openModel}; override {@link #provider} to have
 * the provider's rules checked as well. The suite writes the model and the adapters itself, and
 * lends a plain pool, store and executor; override {@link #createPool}, {@link #createStore} or
 * {@link #createExecutor} to test the model with others.
 */
public abstract class BaseModelConformance extends FailureRules {
  /** For subclasses. */
  protected BaseModelConformance() {}

  /** Opens a model that the suite closes. */
  @Override
  protected abstract BaseModel openModel(ModelConfig config);

  /** Opens the pool that the model is tested with. */
  @Override
  protected PagePool createPool(PoolConfig config) {
    return new LentPool(config);
  }

  /** Opens the store that the model is tested with. */
  @Override
  protected AdapterStore createStore(StoreConfig config) {
    return new ReferenceStore(config);
  }

  /** Opens the executor that the model is tested with. */
  @Override
  protected LoraExecutor createExecutor(Workers workers) {
    return new ReferenceExecutor(workers);
  }

  /** Returns the provider of the model, if the provider's rules are to be checked. */
  @Override
  protected Optional<BaseModelProvider> provider() {
    return Optional.empty();
  }
}
