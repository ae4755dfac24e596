package dev.lorikeet.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.cli.console.ExitCode;
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
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The command holds every built-in plugin to the rules, options and all, and says test by test what
 * the suite's classes say when a build extends them.
 */
class BuiltInPluginsConformanceTest {
  private static final String SEED = "1f2e3d4c5b6a7988";
  private static final int HIDDEN = 64;

  private static final ScopedValue<Map<String, String>> OPTIONS = ScopedValue.newInstance();

  @TempDir private Path directory = Path.of("");

  @Test
  void bothWaysOfTestingThemAgreeTestByTest() throws IOException {
    Map<String, Class<?>> suites =
        Map.of(
            "page pool/arrow", ArrowPool.class,
            "adapter store/arrow", ArrowStore.class,
            "LoRA executor/cpu-vector", VectorExecutor.class,
            "LoRA executor/cpu-scalar", ScalarExecutor.class,
            "router/attribute", AttributeRouter.class,
            "router/uniform", UniformRouter.class,
            "router/gate", GateRouter.class,
            "router/rules", RulesRouter.class,
            "base model/jlama", JlamaModel.class);
    Map<String, Map<String, String>> options =
        Map.of(
            "router/attribute", Map.of("attribute", "language"),
            "router/uniform", Map.of("adapters", "a,b,c"),
            "router/gate", Map.of("path", gate().toString()),
            "router/rules", Map.of("file", rules().toString()));

    JsonNode report = command(options);
    Map<String, Map<String, String>> byCommand = new TreeMap<>();
    for (JsonNode provider : report.path("providers")) {
      String name = provider.path("kind").asText() + "/" + provider.path("name").asText();
      if (provider.path("state").asText().equals("Ready")) {
        assertTrue(provider.path("conforms").asBoolean(), provider::toPrettyString);
        byCommand.put(name, verdicts(provider));
      }
    }
    Map<String, Map<String, String>> byJUnit = new TreeMap<>();
    suites.forEach(
        (name, suite) ->
            ScopedValue.where(OPTIONS, options.getOrDefault(name, Map.of()))
                .run(() -> byJUnit.put(name, verdicts(suite))));
    assertEquals(byJUnit, byCommand);
  }

  private JsonNode command(Map<String, Map<String, String>> options) throws IOException {
    List<String> args =
        new java.util.ArrayList<>(List.of("conformance", "--quick", "--json", "--seed", SEED));
    options.forEach(
        (provider, given) ->
            given.forEach((key, value) -> args.addAll(option(provider, key, value))));
    Run run = Run.of(args.toArray(String[]::new));
    assertEquals(ExitCode.OK, run.exitCode(), run::out);
    return run.json();
  }

  private static List<String> option(String provider, String key, String value) {
    return List.of("--option", provider + "." + key + "=" + value);
  }

  private static Map<String, String> verdicts(JsonNode provider) {
    Map<String, String> verdicts = new TreeMap<>();
    for (JsonNode rule : provider.path("rules")) {
      for (JsonNode test : rule.path("tests")) {
        verdicts.put(test.path("test").asText(), test.path("verdict").asText());
        assertEquals(SEED, test.path("seed").asText());
        if (rule.path("rule").asText().equals("X2")) {
          assertTrue(test.path("worstError").asDouble(2) <= 1, test::toString);
        }
      }
    }
    return verdicts;
  }

  private static Map<String, String> verdicts(Class<?> suite) {
    Map<String, String> verdicts = new TreeMap<>();
    LauncherFactory.create()
        .execute(
            LauncherDiscoveryRequestBuilder.request()
                .selectors(selectClass(suite))
                .configurationParameter("lorikeet.conformance.seed", SEED)
                .configurationParameter("lorikeet.conformance.profile", "quick")
                .build(),
            new TestExecutionListener() {
              @Override
              public void executionFinished(TestIdentifier test, TestExecutionResult result) {
                if (test.getSource().orElse(null) instanceof MethodSource method) {
                  verdicts.put(method.getMethodName(), verdict(result));
                }
              }
            });
    return verdicts;
  }

  private static String verdict(TestExecutionResult result) {
    String message = result.getThrowable().map(t -> String.valueOf(t.getMessage())).orElse("");
    return switch (result.getStatus()) {
      case SUCCESSFUL -> "pass";
      case FAILED -> "fail: " + message;
      case ABORTED -> message.replaceAll("(?s):.*", "");
    };
  }

  /** Writes a gate for the model that the suite tests routers with. */
  private Path gate() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    Map<String, Object> gate = new HashMap<>();
    gate.put("format", "lorikeet-gate");
    gate.put("version", 1);
    gate.put("scope", "token");
    gate.put("experts", List.of("a", "b"));
    gate.put("top_k", 1);
    gate.put("context", "none");
    gate.put("hidden_size", HIDDEN);
    gate.put("inner_size", 0);
    mapper.writeValue(directory.resolve("router.json").toFile(), gate);
    byte[] header =
        """
        {"gate.weight": {"dtype": "F32", "shape": [2, 64], "data_offsets": [0, 512]},
         "gate.bias": {"dtype": "F32", "shape": [2], "data_offsets": [512, 520]}}\
        """
            .getBytes(UTF_8);
    ByteBuffer file = ByteBuffer.allocate(8 + header.length + 520).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(header.length).put(header);
    for (int i = 0; i < 2 * HIDDEN + 2; i++) {
      file.putFloat((float) Math.sin(i));
    }
    Files.write(directory.resolve("router.safetensors"), file.array());
    return directory;
  }

  /** Writes rules that choose no adapter, since the suite registers now these, now those. */
  private Path rules() throws IOException {
    return Files.writeString(
        directory.resolve("rules.json"),
        """
        {"rules": [{"when": {"language": "de", "prompt": "Gericht"}, "use": ""}]}\
        """);
  }

  static final class ArrowPool extends PagePoolConformance {
    private final PagePoolProvider provider = Plugins.discover().pagePool(Optional.of("arrow"));

    @Override
    protected PagePool createPool(PoolConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<PagePoolProvider> provider() {
      return Optional.of(provider);
    }
  }

  static final class ArrowStore extends AdapterStoreConformance {
    private final AdapterStoreProvider provider =
        Plugins.discover().adapterStore(Optional.of("arrow"));

    @Override
    protected AdapterStore createStore(StoreConfig config) {
      return provider.open(config);
    }

    @Override
    protected Optional<AdapterStoreProvider> provider() {
      return Optional.of(provider);
    }
  }

  abstract static class Executor extends LoraExecutorConformance {
    private final LoraExecutorProvider provider;

    Executor(String name) {
      provider = Plugins.discover().loraExecutor(Optional.of(name));
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

  static final class VectorExecutor extends Executor {
    VectorExecutor() {
      super("cpu-vector");
    }
  }

  static final class ScalarExecutor extends Executor {
    ScalarExecutor() {
      super("cpu-scalar");
    }
  }

  abstract static class AnyRouter extends RouterConformance {
    private final RouterProvider provider;
    private final Map<String, String> options = OPTIONS.get();

    AnyRouter(String name) {
      provider = Plugins.discover().router(name);
    }

    @Override
    protected Map<String, String> options() {
      return options;
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

  static final class AttributeRouter extends AnyRouter {
    AttributeRouter() {
      super("attribute");
    }
  }

  static final class RulesRouter extends AnyRouter {
    RulesRouter() {
      super("rules");
    }
  }

  static final class UniformRouter extends AnyRouter {
    UniformRouter() {
      super("uniform");
    }
  }

  static final class GateRouter extends AnyRouter {
    GateRouter() {
      super("gate");
    }
  }

  static final class JlamaModel extends BaseModelConformance {
    private final BaseModelProvider provider = Plugins.discover().baseModel(Optional.of("jlama"));

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
