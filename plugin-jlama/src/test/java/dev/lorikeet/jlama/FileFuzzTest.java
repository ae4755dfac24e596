package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.arrow.AdapterFiles;
import dev.lorikeet.host.router.GateFiles;
import dev.lorikeet.host.router.GateRouterProvider;
import dev.lorikeet.host.router.RulesRouterProvider;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.text.ChatTemplate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage to every file of a model, an adapter and a router: it is refused as the API says,
 * or accepted, and leaves nothing behind. More of it with {@code -Dlorikeet.fuzz.mutations=N}, the
 * same again with {@code -Dlorikeet.fuzz.seed=N}.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class FileFuzzTest {
  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 100);
  private static final int WHOLE_OPENING = 50;

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final Mutations mutations = new Mutations(random);
  private final JlamaModelProvider provider = new JlamaModelProvider();
  private int refused;

  @TempDir Path directory;
  private Path model;

  @BeforeEach
  void writeModel() {
    model = small().write(directory.resolve("model"));
  }

  private static RandomModel small() {
    return RandomModel.llama(3).widths(32, 64).layers(2).type(ElementType.BF16);
  }

  @AfterEach
  void nothingIsMapped() throws IOException {
    Path maps = Path.of("/proc/self/maps");
    if (Files.exists(maps)) {
      String mapped = Files.readString(maps);
      assertFalse(mapped.contains(model.toString() + "/"));
      assertFalse(mapped.contains(directory.resolve("adapter").toString()));
    }
  }

  /** What is done with a file after each change. */
  private interface Use {
    void run(int mutation) throws IOException;
  }

  private void fuzz(Path file, UnaryOperator<byte[]> change, Use use) throws IOException {
    byte[] original = Files.readAllBytes(file);
    for (int n = 0; n < MUTATIONS; n++) {
      byte[] changed = change.apply(original);
      Files.write(file, changed, StandardOpenOption.TRUNCATE_EXISTING);
      try {
        use.run(n);
      } catch (LorikeetException e) {
        assertTrue(e.code() != LorikeetException.Code.INTERNAL, () -> report(file, changed) + e);
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError(report(file, changed), e);
      }
    }
    Files.write(file, original);
    assertTrue(refused > MUTATIONS / 10, refused + " refused, seed " + seed);
  }

  /** A template that cannot be used is refused when a conversation is rendered. */
  private void render() {
    Chat chat = Chat.of(ChatMessage.user("Hi"));
    ChatTemplate.read(model).ifPresent(template -> template.render(chat, true));
  }

  private String report(Path file, byte[] changed) {
    Path kept = Path.of("target").resolve("fuzz-" + seed + "-" + file.getFileName());
    try {
      Files.write(kept, changed);
    } catch (IOException e) {
      return "seed " + seed + ": " + e;
    }
    return "seed " + seed + ": " + kept.toAbsolutePath();
  }

  private void describeAndSometimesServe(int mutation) {
    provider.describe(model);
    sometimesServe(mutation);
  }

  private void sometimesServe(int mutation) {
    if (mutation % WHOLE_OPENING == 0) {
      try (Lorikeet lorikeet =
          Lorikeet.builder(model).poolBytes(4 << 20).modelOption("threads", "1").open()) {
        lorikeet.submit(GenerationRequest.text("The sea").maxTokens(2).build()).await();
      }
    }
  }

  @Test
  void configurations() throws IOException {
    fuzz(model.resolve("config.json"), mutations::json, this::describeAndSometimesServe);
  }

  @Test
  void configurationsOfGeneration() throws IOException {
    Path file = model.resolve("generation_config.json");
    Files.writeString(file, "{\"eos_token_id\": [1, 2], \"bos_token_id\": 1, \"top_p\": 0.9}");
    fuzz(file, mutations::json, this::describeAndSometimesServe);
  }

  @Test
  void weights() throws IOException {
    fuzz(
        model.resolve("model.safetensors"),
        mutations::safetensors,
        this::describeAndSometimesServe);
  }

  @Test
  void quantizedWeights() throws IOException {
    model = small().writeQ4(directory.resolve("q4"));
    fuzz(
        model.resolve("model.safetensors"),
        mutations::safetensors,
        this::describeAndSometimesServe);
  }

  @Test
  void indexes() throws IOException {
    model = small().shards(3).write(directory.resolve("sharded"));
    fuzz(
        model.resolve("model.safetensors.index.json"),
        mutations::json,
        this::describeAndSometimesServe);
  }

  @Test
  void configurationsOfTokenizers() throws IOException {
    Path file = model.resolve("tokenizer_config.json");
    Files.writeString(
        file,
        """
        {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "added_tokens_decoder": {"1": {}},
         "chat_template": [{"name": "default", "template": "{{ bos_token }}"},
                           {"name": "tool_use", "template": "{{ tools|tojson }}"}]}
        """);
    fuzz(
        file,
        mutations::json,
        n -> {
          render();
          sometimesServe(n);
        });
  }

  @Test
  void templates() throws IOException {
    Path file = model.resolve("chat_template.jinja");
    Files.writeString(
        file,
        """
        {%- for message in messages %}
        {{- '<|' + message['role'] + '|>\\n' + message['content'] | trim + eos_token }}
        {%- endfor %}{% if add_generation_prompt %}{{ '<|assistant|> é' }}{% endif %}
        """);
    fuzz(
        file,
        mutations::bytes,
        n -> {
          render();
          sometimesServe(n);
        });
  }

  @Test
  void configurationsOfAdapters() throws IOException {
    Path adapter = adapter();
    fuzz(adapter.resolve("adapter_config.json"), mutations::json, store(adapter));
  }

  @Test
  void weightsOfAdapters() throws IOException {
    Path adapter = adapter();
    fuzz(adapter.resolve("adapter_model.safetensors"), mutations::safetensors, store(adapter));
  }

  @Test
  void arrowFiles() throws IOException {
    Path file = directory.resolve("adapter.arrow");
    AdapterFiles.convert(adapter(), provider.describe(model).shape(), file);
    Use register = store(file);
    fuzz(
        file,
        mutations::binary,
        n -> {
          AdapterFiles.map(file).close();
          register.run(n);
        });
  }

  private Path adapter() {
    return PeftAdapterWriter.write(
        directory.resolve("adapter"), 5, 4, provider.describe(model).shape());
  }

  /** Registers and loads an adapter, which leaves the pool as it was. */
  private Use store(Path adapter) {
    Plugins plugins = Plugins.discover();
    var shape = provider.describe(model).shape();
    return n -> {
      try (PagePool pool = plugins.pagePool(Optional.empty()).open(PoolConfig.ofBytes(4L << 20));
          AdapterStore store =
              plugins.adapterStore(Optional.empty()).open(StoreConfig.of(shape, pool))) {
        var before = pool.stats();
        try {
          store.register(new AdapterSource("a", adapter));
          store.acquire("a").close();
        } finally {
          store.unregister("a");
          assertEquals(before, pool.stats());
        }
      }
    };
  }

  @Test
  void descriptionsOfGates() throws IOException {
    Path gate = gate();
    fuzz(gate.resolve("router.json"), mutations::json, openGate(gate));
  }

  @Test
  void parametersOfGates() throws IOException {
    Path gate = gate();
    fuzz(gate.resolve("router.safetensors"), mutations::safetensors, openGate(gate));
  }

  private Path gate() {
    return new GateFiles(7, List.of("a", "b", "c"), 2, 0, 32, 0.5, 8)
        .write(directory.resolve("gate"));
  }

  private Use openGate(Path gate) {
    ModelInfo info = provider.describe(model);
    return n ->
        new GateRouterProvider()
            .open(RouterConfig.of(info).withOptions(Map.of("path", gate.toString())));
  }

  @Test
  void rules() throws IOException {
    Path file = directory.resolve("rules.json");
    Files.writeString(
        file,
        """
        {"rules": [{"name": "law", "when": {"prompt": "(?i)court|law"}, "use": "law"},
                   {"when": {"tenant": "x", "attributes.a": "b.*"}, "use": "a=0.5,b=0.5"},
                   {"when": {"language": "de"}, "use": {"german": 1}}],
         "otherwise": "none"}
        """);
    ModelInfo info = provider.describe(model);
    fuzz(
        file,
        mutations::json,
        n -> {
          try {
            new RulesRouterProvider()
                .open(RouterConfig.of(info).withOptions(Map.of("file", file.toString())));
          } catch (IllegalArgumentException e) { // what addRouter makes a LorikeetException of
            refused++;
          }
        });
  }
}
