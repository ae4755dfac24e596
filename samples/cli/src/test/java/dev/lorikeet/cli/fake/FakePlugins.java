package dev.lorikeet.cli.fake;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Providers of the fakes, and a discovery that finds these and no others. */
public final class FakePlugins {
  private FakePlugins() {}

  /** Discovers the fakes, whatever else is on the class path. */
  public static Plugins discover() {
    return discover(
        Map.of(
            PagePoolProvider.class, List.of(Pool.class.getName()),
            AdapterStoreProvider.class, List.of(Store.class.getName()),
            LoraExecutorProvider.class, List.of(Executor.class.getName(), NoDevice.class.getName()),
            RouterProvider.class, List.of(LastAdapter.class.getName(), "no.such.Router"),
            BaseModelProvider.class, List.of(Model.class.getName())));
  }

  /** Discovers nothing at all. */
  public static Plugins none() {
    return discover(Map.of());
  }

  private static Plugins discover(Map<Class<? extends PluginProvider>, List<String>> providers) {
    Map<String, String> services = new HashMap<>();
    providers.forEach((type, names) -> services.put(type.getName(), String.join("\n", names)));
    return Plugins.discover(new ServiceFiles(services));
  }

  /** Sees the given service files in place of those on the class path. */
  private static final class ServiceFiles extends ClassLoader {
    private static final String FOLDER = "META-INF/services/";
    private final Map<String, URL> files = new HashMap<>();

    ServiceFiles(Map<String, String> services) {
      super(FakePlugins.class.getClassLoader());
      services.forEach((name, content) -> files.put(FOLDER + name, write(content)));
    }

    private static URL write(String content) {
      try {
        Path file = Files.createTempFile("service", "");
        file.toFile().deleteOnExit();
        Files.writeString(file, content);
        return URI.create(file.toUri().toString()).toURL();
      } catch (MalformedURLException e) {
        throw new IllegalStateException(e);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
      if (!name.startsWith(FOLDER)) {
        return super.getResources(name);
      }
      URL file = files.get(name);
      return Collections.enumeration(file == null ? List.<URL>of() : List.of(file));
    }
  }

  /** What every fake says of itself. */
  abstract static class Fake implements PluginProvider {
    @Override
    public String name() {
      return "fake";
    }

    @Override
    public int priority() {
      return 7;
    }

    @Override
    public Availability availability() {
      return Availability.available("for tests");
    }
  }

  /** Opens {@link FakePool}. */
  public static final class Pool extends Fake implements PagePoolProvider {
    @Override
    public PagePool open(PoolConfig config) {
      return new FakePool(config);
    }
  }

  /** Opens {@link FakeStore}. */
  public static final class Store extends Fake implements AdapterStoreProvider {
    @Override
    public AdapterStore open(StoreConfig config) {
      return new FakeStore();
    }
  }

  /** Opens nothing: the fake model computes nothing. */
  public static final class Executor extends Fake implements LoraExecutorProvider {
    @Override
    public LoraExecutor open(ExecutorConfig config) {
      throw new LorikeetException(LorikeetException.Code.INTERNAL, "the fake model opens none");
    }
  }

  /** An executor that can't run here, as one for GPUs on a machine without. */
  public static final class NoDevice extends Fake implements LoraExecutorProvider {
    @Override
    public String name() {
      return "fake-gpu";
    }

    @Override
    public int priority() {
      return 90;
    }

    @Override
    public Availability availability() {
      return Availability.unavailable("no device");
    }

    @Override
    public LoraExecutor open(ExecutorConfig config) {
      throw new LorikeetException(LorikeetException.Code.PLUGIN_UNAVAILABLE, "no device");
    }
  }

  /** Chooses the last adapter there is. */
  public static final class LastAdapter extends Fake implements RouterProvider {
    @Override
    public String name() {
      return "last";
    }

    @Override
    public Router open(RouterConfig config) {
      Options.none("router plugin 'last'", config.options());
      return (RequestRouter) context -> Mixture.of(context.adapters().getLast());
    }
  }

  /** Opens {@link FakeModel}. */
  public static final class Model extends Fake implements BaseModelProvider {
    @Override
    public ModelInfo describe(Path directory) {
      if (!Files.isDirectory(directory)) {
        throw new LorikeetException(
            LorikeetException.Code.MODEL_INVALID,
            directory + ": expected a model directory, found none");
      }
      return ModelInfo.builder(
              directory,
              "fake",
              ModelShape.builder()
                  .layers(1)
                  .hidden(8)
                  .intermediate(8)
                  .heads(1)
                  .kvHeads(1)
                  .headDim(8)
                  .vocabulary(256)
                  .build())
          .weightType("F32")
          .maxPositions(64)
          .eosTokens(Set.of(2))
          .build();
    }

    @Override
    public BaseModel open(ModelConfig config) {
      Options.of("base model plugin 'fake'", config.options(), "threads");
      return new FakeModel(describe(config.directory()), config);
    }
  }
}
