package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.routing.Mixture;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Which template a conversation is written by: the one somebody chose, the adapter's or the
 * model's. The prompt is known by the ids that a score tells.
 */
class AdapterChatTest {
  private static final Chat CHAT = Chat.of(ChatMessage.user("hello there"));
  private static final String ROWS = Integer.toString(RandomModel.VOCABULARY);

  @TempDir Path directory;
  private Path model;
  private Lorikeet lorikeet;

  @BeforeEach
  void open() throws IOException {
    model = RandomModel.llama(7).widths(32, 64).layers(1).write(directory.resolve("model"));
    Files.writeString(model.resolve("chat_template.jinja"), "model: {{ messages[0].content }}");
    lorikeet = builder().open();
  }

  private Lorikeet.Builder builder() {
    return Lorikeet.builder(model)
        .poolBytes(8 << 20)
        .modelOption("threads", "1")
        .modelOption("warm-up", "false");
  }

  @AfterEach
  void close() {
    lorikeet.close();
  }

  private Path adapter(String name) {
    return PeftAdapterWriter.write(
        directory.resolve(name), name.hashCode(), 2, lorikeet.model().info().shape());
  }

  private Path adapter(String name, String file, String content) throws IOException {
    Path adapter = adapter(name);
    Files.writeString(adapter.resolve(file), content);
    lorikeet.register(name, adapter);
    return adapter;
  }

  private void expectPrompt(String expected, AdapterChoice choice) {
    expectPrompt(lorikeet, expected, choice);
  }

  /** What a prompt's text costs is the same as what its template's outcome costs as tokens. */
  private static void expectPrompt(Lorikeet lorikeet, String expected, AdapterChoice choice) {
    List<Integer> ids = lorikeet.model().encode(expected);
    // A template holds its own BOS, whatever goes before a text.
    int before = lorikeet.model().encode("hello").getFirst() == 1 ? 1 : 0;
    List<Integer> tokens = ids.subList(before, ids.size());
    assertEquals(lorikeet.score(new Prompt.Tokens(tokens), choice), lorikeet.score(CHAT, choice));
  }

  private static AdapterChoice named(String adapter) {
    return new AdapterChoice.Named(adapter);
  }

  private LorikeetException refusal(Prompt prompt, String adapter) {
    return assertThrows(LorikeetException.class, () -> lorikeet.score(prompt, named(adapter)));
  }

  private static void assertSays(LorikeetException e, Code code, String... parts) {
    assertEquals(code, e.code(), e::getMessage);
    for (String part : parts) {
      assertTrue(e.getMessage().contains(part), e::getMessage);
    }
  }

  @Test
  void aRequestThatNamesAnAdapterIsWrittenByTheAdaptersTemplate() throws IOException {
    adapter("jinja", "chat_template.jinja", "one: {{ messages[0].content }}!");
    adapter(
        "config",
        "tokenizer_config.json",
        "{\"bos_token\": \"<s>\", \"chat_template\": \"{{ bos_token }}two {{ messages[0].role }}\"}");
    adapter("json", "chat_template.json", "{\"chat_template\": \"three {{ messages|length }}\"}");
    lorikeet.register("plain", adapter("plain"));

    expectPrompt("one: hello there!", named("jinja"));
    expectPrompt("<s>two user", named("config"));
    expectPrompt("three 1", named("json"));
    expectPrompt("model: hello there", named("plain"));
    expectPrompt("model: hello there", new AdapterChoice.None());
  }

  @Test
  void aMixtureIsWrittenByATemplateThatAllItsAdaptersBring() throws IOException {
    adapter("a", "chat_template.jinja", "one: {{ messages[0].content }}");
    Path b = adapter("b", "chat_template.jinja", "other: {{ messages[0].content }}");
    var mixture =
        AdapterChoice.mixed(
            new Mixture(List.of(new Mixture.Share("a", 0.5f), new Mixture.Share("b", 0.5f))));
    expectPrompt("model: hello there", mixture);
    var alone = AdapterChoice.mixed(new Mixture(List.of(new Mixture.Share("a", 0.5f))));
    expectPrompt("one: hello there", alone);
    Files.delete(b.resolve("chat_template.jinja"));
    lorikeet.register("b", b);
    expectPrompt("model: hello there", mixture);
  }

  @Test
  void aNameRegisteredAnewBringsItsNewTemplateAndUnregisteringLetsItGo() throws IOException {
    Path adapter = adapter("a", "chat_template.jinja", "old {{ messages[0].content }}");
    expectPrompt("old hello there", named("a"));
    Files.writeString(adapter.resolve("chat_template.jinja"), "new {{ messages[0].content }}");
    expectPrompt("old hello there", named("a"));
    lorikeet.register("a", adapter);
    expectPrompt("new hello there", named("a"));
    Files.delete(adapter.resolve("chat_template.jinja"));
    lorikeet.register("a", adapter);
    expectPrompt("model: hello there", named("a"));
    lorikeet.unregister("a");
    assertSays(refusal(CHAT, "a"), Code.ADAPTER_NOT_FOUND, "'a'");
  }

  @Test
  @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void nothingKeepsTheTextOfAnAdapterThatIsGone() throws Exception {
    adapter("a", "chat_template.jinja", "old {{ messages[0].content }}");
    expectPrompt("old hello there", named("a"));
    WeakReference<AdapterText> text =
        new WeakReference<>(lorikeet.adapters().text("a").orElseThrow());
    lorikeet.unregister("a");
    while (text.get() != null) {
      System.gc();
      Thread.onSpinWait();
    }
    assertEquals(Optional.empty(), lorikeet.adapters().text("a"));
  }

  @Test
  void aTemplateThatCannotBeUsedRefusesConversationsAlone() throws IOException {
    adapter("jinja", "chat_template.jinja", "{% for %}");
    assertSays(
        refusal(CHAT, "jinja"),
        Code.INVALID_REQUEST,
        "send the prompt as text",
        "chat_template.jinja: line 1");
    adapter("json", "tokenizer_config.json", "{\"chat_template\":");
    assertSays(refusal(CHAT, "json"), Code.INVALID_REQUEST, "json/tokenizer_config.json");
    adapter("list", "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\"}]}");
    assertSays(refusal(CHAT, "list"), Code.INVALID_REQUEST, "a list with one named default");
    adapter("long", "chat_template.jinja", "x".repeat((1 << 18) + 1));
    assertSays(refusal(CHAT, "long"), Code.INVALID_REQUEST, "at most 262144 bytes, found 262145");
    for (String name : List.of("jinja", "json", "list", "long")) {
      assertEquals(
          lorikeet.score(new Prompt.Tokens(lorikeet.model().encode("hello")), named(name)),
          lorikeet.score(new Prompt.Text("hello"), named(name)));
    }
  }

  @Test
  void aTemplateLinkedOutOfTheFolderIsNotRead() throws IOException {
    Path secret = Files.writeString(directory.resolve("secret"), "secret words");
    Path adapter = adapter("a");
    Files.createSymbolicLink(adapter.resolve("chat_template.jinja"), secret);
    lorikeet.register("a", adapter);
    assertSays(refusal(CHAT, "a"), Code.INVALID_REQUEST, "found a link", "--trust-links");

    try (Lorikeet trusting =
        builder().storeOption("trusted-links", directory.toRealPath().toString()).open()) {
      trusting.register("a", adapter);
      expectPrompt(trusting, "secret words", named("a"));
    }
  }

  @Test
  void aChosenTemplateGoesBeforeAllOthers() throws IOException {
    Path chosen = Files.writeString(directory.resolve("mine.jinja"), "mine {{ messages[0].role }}");
    Path adapter = adapter("a", "chat_template.jinja", "one");
    try (Lorikeet other = builder().chatTemplate(chosen).open()) {
      other.register("a", adapter);
      expectPrompt(other, "mine user", named("a"));
      expectPrompt(other, "mine user", new AdapterChoice.None());
    }
    Files.writeString(chosen, "{% if %}");
    assertSays(
        assertThrows(LorikeetException.class, () -> builder().chatTemplate(chosen).open()),
        Code.INVALID_CONFIG,
        "mine.jinja: line 1");
    Path absent = directory.resolve("absent.jinja");
    assertSays(
        assertThrows(LorikeetException.class, () -> builder().chatTemplate(absent).open()),
        Code.INVALID_CONFIG,
        "absent.jinja: expected a regular file, found nothing");
  }

  @Test
  void theEndTokenOfTheAdaptersTokenizerEndsItsGenerations() throws IOException {
    Path adapter = adapter("a");
    lorikeet.register("a", adapter);
    List<Integer> prompt = List.of(1, 300, 301, 302);
    GenerationRequest request = GenerationRequest.tokens(prompt).adapter("a").maxTokens(64).build();
    List<Integer> usual = lorikeet.submit(request).await().tokens();
    Files.writeString(
        adapter.resolve("special_tokens_map.json"), "{\"eos_token\": {\"content\": \"<|end|>\"}}");
    lorikeet.register("a", adapter);
    assertEquals(usual, lorikeet.submit(request).await().tokens(), "no token of the model's");

    // The model has to know the token as a special one; which one does not matter.
    int last = usual.get(2);
    String text = tokenText(last);
    Path config = model.resolve("tokenizer_config.json");
    Files.writeString(config, "{\"additional_special_tokens\": [" + json(text) + "]}");
    Files.writeString(
        adapter.resolve("special_tokens_map.json"), "{\"eos_token\": " + json(text) + "}");
    try (Lorikeet again = builder().open()) {
      again.register("a", adapter);
      GenerationResult result = again.submit(request).await();
      assertEquals(FinishReason.STOP_TOKEN, result.finishReason());
      assertEquals(usual.subList(0, usual.indexOf(last) + 1), result.tokens());
    }
  }

  private String tokenText(int id) throws IOException {
    return new com.fasterxml.jackson.databind.ObjectMapper()
        .readTree(model.resolve("tokenizer.json").toFile()).at("/model/vocab").properties().stream()
            .filter(entry -> entry.getValue().intValue() == id)
            .map(java.util.Map.Entry::getKey)
            .findFirst()
            .orElseThrow();
  }

  private static String json(String text) {
    return com.fasterxml.jackson.databind.node.TextNode.valueOf(text).toString();
  }

  @Test
  void anExtendedVocabularyIsRefusedWithTheNumbers() throws IOException {
    Path adapter = adapter("a");
    for (String[] file :
        new String[][] {
          {
            "tokenizer_config.json",
            "{\"added_tokens_decoder\": {\"" + ROWS + "\": {\"content\": \"<more>\"}}}"
          },
          {"added_tokens.json", "{\"<more>\": " + ROWS + "}"},
          {
            "tokenizer.json",
            "{\"version\": {\"a\": []}, \"added_tokens\": [{\"id\": "
                + ROWS
                + ", \"content\": \"<more>\"}], \"model\": 1 rest is not read"
          }
        }) {
      Path extended = Files.writeString(adapter.resolve(file[0]), file[1]);
      assertSays(
          assertThrows(LorikeetException.class, () -> lorikeet.register("a", adapter)),
          Code.ADAPTER_UNSUPPORTED,
          "among the " + ROWS + " that the base model has rows for",
          "'<more>' with id " + ROWS);
      assertTrue(lorikeet.adapters().find("a").isEmpty());
      Files.delete(extended);
    }
  }

  @Test
  void aTokenThatPadsAloneMayLieBeyondTheRows() throws IOException {
    Path adapter = adapter("a");
    Files.writeString(adapter.resolve("added_tokens.json"), "{\"[PAD]\": " + ROWS + "}");
    Files.writeString(
        adapter.resolve("tokenizer_config.json"),
        "{\"pad_token\": \"[PAD]\", \"eos_token\": \"</s>\"}");
    lorikeet.register("a", adapter);
    lorikeet.score(new Prompt.Text("hello"), named("a"));
    Files.writeString(
        adapter.resolve("tokenizer_config.json"),
        "{\"pad_token\": \"[PAD]\", \"eos_token\": \"[PAD]\"}");
    assertSays(
        assertThrows(LorikeetException.class, () -> lorikeet.register("a", adapter)),
        Code.ADAPTER_UNSUPPORTED,
        "'[PAD]' with id " + ROWS);
  }

  @Test
  void tokensThatTheModelsTokenizerGivesOtherIdsAreRefusedForTexts() throws IOException {
    Path adapter = adapter("a", "added_tokens.json", "{\"<s>\": 1}");
    lorikeet.score(new Prompt.Text("hello"), named("a"));
    Files.writeString(adapter.resolve("added_tokens.json"), "{\"<s>\": 1, \"<call>\": 1900}");
    lorikeet.register("a", adapter);
    assertSays(
        refusal(new Prompt.Text("hello"), "a"),
        Code.ADAPTER_UNSUPPORTED,
        "adapter 'a'",
        "'<call>' with id 1900");
    lorikeet.score(new Prompt.Tokens(List.of(1, 1900)), named("a"));
  }
}
