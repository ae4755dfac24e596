package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Health;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.tiny.TinyModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever an application does wrong, it meets one exception, with a code and what was wrong. */
@Timeout(300)
class ApplicationFailuresTest {
  private static final TinyModel TINY = TinyModel.extract();
  private static Lorikeet lorikeet;
  private static Lorikeet closed;

  /**
   * Something done wrong.
   *
   * @param what for the reader of the report
   * @param code what the exception must tell
   * @param says what its message must hold: parameter, found and expected
   */
  record Wrong(String what, Code code, List<String> says, Executable call) {
    @Override
    public String toString() {
      return what;
    }
  }

  private static Wrong wrong(String what, Code code, Executable call, String... says) {
    return new Wrong(what, code, List.of(says), call);
  }

  @BeforeAll
  static void open() {
    lorikeet = builder().open();
    lorikeet.register("voyage", TINY.adapter("voyage"));
    closed = builder().open();
    closed.close();
  }

  @AfterAll
  static void close() {
    lorikeet.close();
  }

  private static Lorikeet.Builder builder() {
    return Lorikeet.builder(TINY.base()).poolBytes(16L << 20).modelOption("threads", "1");
  }

  private static GenerationRequest.Builder text() {
    return GenerationRequest.text("The sea").maxTokens(2);
  }

  private static Stream<Wrong> requests() {
    Code code = Code.INVALID_REQUEST;
    return Stream.of(
        wrong("max 0", code, () -> text().maxTokens(0), "maxTokens", ">= 1", "found 0"),
        wrong("max -1", code, () -> StopConditions.maxTokens(-1), "maxTokens", "found -1"),
        wrong("empty stop", code, () -> text().stopAt("a", ""), "strings", "none empty", "[a, ]"),
        wrong("top-p 2", code, () -> Sampling.greedy().withTopP(2), "topP", "(0, 1]", "2.0"),
        wrong("top-p 0", code, () -> Sampling.greedy().withTopP(0), "topP", "found 0.0"),
        wrong("top-p NaN", code, () -> Sampling.greedy().withTopP(Float.NaN), "topP", "NaN"),
        wrong("top-k -1", code, () -> Sampling.greedy().withTopK(-1), "topK", ">= 0", "found -1"),
        wrong("cold", code, () -> Sampling.of(-1, 0), "temperature", ">= 0", "found -1.0"),
        wrong("hot", code, () -> Sampling.of(1f / 0, 0), "temperature", "finite", "Infinity"),
        wrong(
            "no time",
            code,
            () -> text().timeout(Duration.ZERO).build(),
            "timeout",
            "more than zero",
            "PT0S"),
        wrong("no tokens", code, () -> GenerationRequest.tokens(List.of()), "tokens", "found none"),
        wrong("no messages", code, () -> GenerationRequest.chat(), "messages", "found none"),
        wrong("no mixtures", code, () -> AdapterChoice.perToken(List.of()), "mixtures", "none"),
        wrong("weight NaN", code, () -> new Mixture.Share("a", Float.NaN), "'a'", "finite", "NaN"),
        wrong(
            "twice",
            code,
            () -> Mixture.of(new Mixture.Share("a", 1), new Mixture.Share("a", 2)),
            "mixture",
            "once",
            "a*1.0"),
        wrong("no experts", code, () -> new Experts(List.of(), 1), "adapters", "found []"),
        wrong("top 3 of 1", code, () -> new Experts(List.of("a"), 3), "topK", "1 to 1", "found 3"),
        wrong("decay 1", code, () -> new RunningContext.MeanEmbedding(1), "decay", "[0, 1)", "1.0"),
        wrong(
            "no points",
            code,
            () -> RequestObserver.hidden(Set.of(), (point, layer, first, rows) -> {}),
            "points",
            "found none"),
        wrong(
            "blank name",
            code,
            () -> new AdapterSource(" ", Path.of("x")),
            "adapter id",
            "1 to 200",
            "' '"));
  }

  private static Stream<Wrong> settings() {
    Code code = Code.INVALID_CONFIG;
    return Stream.of(
        wrong("page", code, () -> builder().pageBytes(100).open(), "page bytes", "64", "100"),
        wrong("small", code, () -> builder().poolBytes(1).open(), "pool bytes", "pages", "found 1"),
        wrong(
            "large",
            code,
            () -> builder().poolBytes(Long.MAX_VALUE).open(),
            "pool bytes",
            "found " + Long.MAX_VALUE),
        wrong(
            "huge",
            Code.POOL_EXHAUSTED,
            () -> builder().poolBytes(1L << 46).open(),
            "pool",
            "expected to get " + (1L << 46),
            "this machine or container has"),
        wrong("threads", code, () -> with("threads", "0"), "'jlama'", "'threads'", "found '0'"),
        wrong("many", code, () -> with("threads", "many"), "'threads'", "number", "found 'many'"),
        wrong("unknown", code, () -> with("nonsense", "1"), "'jlama'", "'nonsense'", "threads"),
        wrong(
            "store",
            code,
            () -> builder().storeOption("element-type", "int4").open(),
            "'element-type'",
            "bf16",
            "'int4'"),
        wrong("pool", code, () -> builder().poolOption("x", "y").open(), "'x'"),
        wrong("executor", code, () -> builder().executorOption("x", "y").open(), "'x'"),
        wrong(
            "plugin",
            Code.PLUGIN_UNAVAILABLE,
            () -> builder().baseModel("nobody").open(),
            "'nobody'",
            "jlama"),
        wrong(
            "router",
            Code.PLUGIN_UNAVAILABLE,
            () -> lorikeet.addRouter("nobody", Map.of()),
            "'nobody'",
            "gate"),
        wrong(
            "router option",
            code,
            () -> lorikeet.addRouter("gate", Map.of("nonsense", "1")),
            "'gate'",
            "'nonsense'"),
        wrong(
            "rules",
            code,
            () -> lorikeet.addRouter("rules", Map.of("file", "none.json")),
            "'file'",
            "none.json"),
        wrong(
            "rule's weight",
            code,
            () -> lorikeet.addRouter("rules", Map.of("rule.1.prompt", "x", "rule.1.use", "a=NaN")),
            "rule '1'",
            "'a'",
            "NaN"),
        wrong(
            "gate",
            Code.ROUTER_FAILED,
            () -> lorikeet.addRouter("gate", Map.of("path", "none")),
            "router.json"));
  }

  private static void with(String key, String value) {
    builder().modelOption(key, value).open();
  }

  private static Stream<Wrong> calls() {
    Code code = Code.INVALID_REQUEST;
    int vocabulary = lorikeet.model().info().shape().vocabulary();
    List<Integer> longest = Collections.nCopies(lorikeet.model().info().maxPositions(), 5);
    return Stream.of(
        wrong(
            "name",
            code,
            () -> lorikeet.register("a\nb", TINY.adapter("voyage")),
            "adapter id",
            "control",
            "'a?b'"),
        wrong(
            "no adapter there",
            Code.ADAPTER_INVALID,
            () -> lorikeet.register("a", TINY.base()),
            "adapter_config.json"),
        wrong(
            "adapter", Code.ADAPTER_NOT_FOUND, () -> lorikeet.generate("x", "nobody"), "'nobody'"),
        wrong("router", code, () -> lorikeet.submit(text().router("nobody").build()), "'nobody'"),
        wrong(
            "token",
            code,
            () -> lorikeet.submit(GenerationRequest.tokens(List.of(1, vocabulary)).build()),
            "prompt",
            "0 to " + (vocabulary - 1),
            "found " + vocabulary),
        wrong(
            "long",
            code,
            () -> lorikeet.submit(GenerationRequest.tokens(longest).build()),
            "prompt",
            "at most",
            "found " + longest.size()),
        wrong(
            "per token",
            code,
            () ->
                lorikeet.score(
                    text().build().prompt(), AdapterChoice.perToken(List.of(Mixture.none()))),
            "mixtures",
            "found 1"),
        wrong(
            "observer of a score",
            code,
            () ->
                lorikeet.score(
                    new Prompt.Text("x"), AdapterChoice.none(), RequestObserver.tokens(t -> {})),
            "observer",
            "hidden states",
            "tokens"),
        wrong(
            "observer that throws",
            code,
            () ->
                lorikeet
                    .submit(
                        text().build(),
                        RequestObserver.tokens(
                            t -> {
                              throw new IllegalStateException("broken");
                            }))
                    .await(),
            "onToken",
            "broken"),
        wrong("decode", code, () -> lorikeet.model().decode(List.of(-1)), "token id", "found -1"));
  }

  private static Stream<Wrong> callsAfterClose() {
    RequestRouter router = context -> Mixture.none();
    Prompt prompt = new Prompt.Text("x");
    return Stream.of(
            Map.<String, Executable>of(
                "register", () -> closed.register("a", TINY.adapter("voyage")),
                "unregister", () -> closed.unregister("a"),
                "addRouter", () -> closed.addRouter("uniform", Map.of("adapters", "voyage")),
                "addRouter of its own", () -> closed.addRouter("mine", router),
                "submit", () -> closed.submit(text().build()),
                "generate", () -> closed.generate("x"),
                "score", () -> closed.score(prompt, AdapterChoice.none()),
                "model.submit", () -> closed.model().submit(text().build()),
                "model.encode", () -> closed.model().encode("x")))
        .flatMap(calls -> calls.entrySet().stream())
        .map(call -> wrong(call.getKey(), Code.CLOSED, call.getValue(), "closed"));
  }

  @ParameterizedTest
  @MethodSource({"requests", "settings", "calls", "callsAfterClose"})
  void tellWhatWasFoundAndWhatWasExpected(Wrong wrong) {
    LorikeetException e = assertThrows(LorikeetException.class, wrong.call());
    assertEquals(wrong.code(), e.code(), e::toString);
    assertAll(
        wrong.says().stream()
            .map(part -> () -> assertTrue(e.getMessage().contains(part), part + " in " + e)));
    assertTrue(e.id().matches("[0-9a-v]{8}"), e::id);
    assertTrue(e.toString().contains(e.id()), e::toString);
  }

  @Test
  void directoriesThatAreNoModelsAreRefused(@TempDir Path directory) throws Exception {
    for (Path wrong : List.of(directory, directory.resolve("none"), directory.resolve("a/b/c"))) {
      LorikeetException e =
          assertThrows(LorikeetException.class, () -> Lorikeet.open(wrong).close());
      assertTrue(
          Set.of(Code.MODEL_INVALID, Code.MODEL_NOT_FOUND, Code.DOWNLOAD_FAILED).contains(e.code()),
          e::toString);
    }
    Path file = Files.writeString(directory.resolve("file"), "no model");
    LorikeetException e = assertThrows(LorikeetException.class, () -> Lorikeet.open(file).close());
    assertEquals(Code.MODEL_INVALID, e.code(), e::toString);
  }

  @Test
  void aConversationNeedsATemplate(@TempDir Path directory) throws Exception {
    try (Stream<Path> files = Files.list(TINY.base())) {
      for (Path file : files.filter(f -> !f.endsWith("chat_template.jinja")).toList()) {
        Files.copy(file, directory.resolve(file.getFileName()));
      }
    }
    try (Lorikeet plain = Lorikeet.builder(directory).poolBytes(16L << 20).open()) {
      GenerationRequest chat =
          GenerationRequest.chat(Prompt.ChatMessage.user("hello")).maxTokens(1).build();
      LorikeetException e = assertThrows(LorikeetException.class, () -> plain.submit(chat));
      assertEquals(Code.INVALID_REQUEST, e.code());
      assertTrue(e.getMessage().contains("chat template"), e::toString);
    }
  }

  @Test
  void closingInACallbackIsRefusedAndNothingIsClosed() throws Exception {
    try (Lorikeet open = builder().open()) {
      CompletableFuture<Object> thrown = new CompletableFuture<>();
      open.submit(
              text().build(),
              RequestObserver.tokens(
                  token -> {
                    try {
                      open.close();
                      thrown.complete("nothing");
                    } catch (LorikeetException e) {
                      thrown.complete(e.code());
                    }
                  }))
          .await();
      assertEquals(Code.WRONG_THREAD, thrown.get(60, TimeUnit.SECONDS));
      assertEquals(Health.healthy(), open.health());
      open.register("voyage", TINY.adapter("voyage"));
      assertFalse(open.generate("The sea", "voyage").isEmpty());
    }
  }

  @Test
  void anUnregisteredNameIsUnknown() {
    try (Lorikeet open = builder().open()) {
      open.register("voyage", TINY.adapter("voyage"));
      assertTrue(open.unregister("voyage"));
      assertFalse(open.unregister("voyage"));
      LorikeetException e =
          assertThrows(LorikeetException.class, () -> open.generate("x", "voyage"));
      assertEquals(Code.ADAPTER_NOT_FOUND, e.code());
    }
  }

  @Test
  void closingTwiceIsNoFailure() {
    Lorikeet open = builder().open();
    open.close();
    open.close();
    assertEquals(Health.closed(), open.health());
  }
}
