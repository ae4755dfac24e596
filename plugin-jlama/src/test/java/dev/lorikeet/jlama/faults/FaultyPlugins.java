package dev.lorikeet.jlama.faults;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.arrow.ArrowAdapterStoreProvider;
import dev.lorikeet.arrow.ArrowPagePoolProvider;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.jlama.faults.Faults.Party;
import dev.lorikeet.jlama.lora.VectorLoraExecutorProvider;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.PluginProvider;
import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Providers of pools, stores and executors that throw, around those of the class path. */
public final class FaultyPlugins {
  private static final Map<Class<?>, Class<?>> PROVIDERS =
      Map.of(
          PagePoolProvider.class, Pools.class,
          AdapterStoreProvider.class, Stores.class,
          LoraExecutorProvider.class, Executors.class);

  private static volatile Faults faults = new Faults(new Random(0));

  private FaultyPlugins() {}

  /**
   * Finds these providers in place of those on the class path, and what others there are.
   *
   * @param folder where the names of the providers are written
   * @param thrown what they throw from now on
   */
  static Plugins discover(Path folder, Faults thrown) throws IOException {
    faults = thrown;
    for (var provider : PROVIDERS.entrySet()) {
      Files.writeString(folder.resolve(provider.getKey().getName()), provider.getValue().getName());
    }
    return Plugins.discover(new ServiceFiles(folder));
  }

  /** Sees the service files of a folder in place of those on the class path. */
  private static final class ServiceFiles extends ClassLoader {
    private final Path folder;

    ServiceFiles(Path folder) {
      super(FaultyPlugins.class.getClassLoader());
      this.folder = folder;
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
      Path file = folder.resolve(name.substring(name.lastIndexOf('/') + 1));
      return name.startsWith("META-INF/services/") && Files.isRegularFile(file)
          ? Collections.enumeration(List.of(file.toUri().toURL()))
          : super.getResources(name);
    }
  }

  /** What all of them say of themselves. */
  public abstract static class Faulty implements PluginProvider {
    @Override
    public String name() {
      return "faulty";
    }

    @Override
    public Availability availability() {
      return Availability.available("throws");
    }
  }

  /** Opens pools that throw. */
  public static final class Pools extends Faulty implements PagePoolProvider {
    @Override
    public PagePool open(PoolConfig config) {
      faults.at(Party.POOL, "open");
      return new FaultyPool(faults.opened(new ArrowPagePoolProvider().open(config)), faults);
    }
  }

  /** Opens stores that throw. */
  public static final class Stores extends Faulty implements AdapterStoreProvider {
    @Override
    public AdapterStore open(StoreConfig config) {
      faults.at(Party.STORE, "open");
      return new FaultyStore(faults.opened(new ArrowAdapterStoreProvider().open(config)), faults);
    }
  }

  /** Opens executors that throw. */
  public static final class Executors extends Faulty implements LoraExecutorProvider {
    @Override
    public LoraExecutor open(ExecutorConfig config) {
      faults.at(Party.EXECUTOR, "open");
      return new FaultyExecutor(
          faults.opened(new VectorLoraExecutorProvider().open(config)), faults);
    }
  }
}
