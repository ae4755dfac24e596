package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.jlama.lora.ScalarLoraExecutorProvider;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tiny.TinyModel;
import java.lang.reflect.Proxy;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class JlamaModelProviderTest {
  @Test
  void aPoolThatIsNotInHostMemoryIsRefused() {
    TinyModel tiny = TinyModel.extract();
    JlamaModelProvider provider = new JlamaModelProvider();
    Plugins plugins = Plugins.discover();
    try (PagePool pool = plugins.pagePool(Optional.empty()).open(PoolConfig.ofBytes(4L << 20));
        AdapterStore store =
            plugins
                .adapterStore(Optional.empty())
                .open(StoreConfig.of(provider.describe(tiny.base()).shape(), pool))) {
      PagePool elsewhere =
          (PagePool)
              Proxy.newProxyInstance(
                  PagePool.class.getClassLoader(),
                  new Class<?>[] {PagePool.class},
                  (self, method, arguments) ->
                      method.getName().equals("device")
                          ? new Device("cuda", 1)
                          : method.invoke(pool, arguments));
      var refusal =
          assertThrows(
              IllegalArgumentException.class,
              () ->
                  provider.open(
                      ModelConfig.of(
                          tiny.base(),
                          elsewhere,
                          store,
                          team -> new ScalarLoraExecutorProvider().open(ExecutorConfig.of(team)))));
      assertEquals(
          "base model plugin 'jlama': expected a page pool in host memory, where it keeps keys and"
              + " values, found one on cuda:1",
          refusal.getMessage());
    }
  }
}
