package dev.lorikeet.conformance;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.executor.DeviceExecutor;
import dev.lorikeet.conformance.router.ReferenceRouters;
import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Optional;
import java.util.function.Function;

/** The suites as a vendor extends them, around whatever factory is bound. */
public final class MutantSuites {
  static final ScopedValue<Object> FACTORY = ScopedValue.newInstance();

  private MutantSuites() {}

  public interface MakesPool extends Function<PoolConfig, PagePool> {}

  public interface MakesStore extends Function<StoreConfig, AdapterStore> {}

  public interface MakesExecutor extends Function<Workers, LoraExecutor> {}

  public interface MakesRouter extends Function<RouterConfig, Router> {}

  public interface MakesModel extends Function<ModelConfig, BaseModel> {}

  public static final class Pools extends PagePoolConformance {
    private final MakesPool factory = (MakesPool) FACTORY.get();

    @Override
    protected PagePool createPool(PoolConfig config) {
      return factory.apply(config);
    }
  }

  public static final class Stores extends AdapterStoreConformance {
    private final MakesStore factory = (MakesStore) FACTORY.get();

    @Override
    protected AdapterStore createStore(StoreConfig config) {
      return factory.apply(config);
    }
  }

  public static final class Executors extends LoraExecutorConformance {
    private final MakesExecutor factory = (MakesExecutor) FACTORY.get();

    @Override
    protected LoraExecutor createExecutor(Workers workers) {
      return factory.apply(workers);
    }

    @Override
    protected Optional<TensorPlacement> placement(LoraExecutor executor) {
      return executor.device().equals(DeviceExecutor.DEVICE)
          ? Optional.of(DeviceExecutor.PLACEMENT)
          : Optional.empty();
    }
  }

  public static final class Routers extends RouterConformance {
    private final MakesRouter factory = (MakesRouter) FACTORY.get();

    @Override
    protected Router createRouter(RouterConfig config) {
      return factory.apply(config);
    }

    @Override
    protected Optional<RouterProvider> provider() {
      return Optional.of(
          new ReferenceRouters.Provider() {
            @Override
            public Router open(RouterConfig config) {
              return factory.apply(config);
            }
          });
    }
  }

  public static final class Models extends BaseModelConformance {
    private final MakesModel factory = (MakesModel) FACTORY.get();

    @Override
    protected BaseModel openModel(ModelConfig config) {
      return factory.apply(config);
    }
  }
}
