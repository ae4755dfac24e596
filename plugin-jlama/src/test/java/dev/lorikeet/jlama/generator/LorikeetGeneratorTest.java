package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.functions.Generator;
import com.github.tjake.jlama.model.functions.Generator.FinishReason;
import com.github.tjake.jlama.model.functions.Generator.Response;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.tiny.TinyModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 120, unit = TimeUnit.SECONDS)
class LorikeetGeneratorTest {
  private static final List<String> PROMPTS =
      List.of("The people of the", "In the beginning", "The ship", "water (noun): ", "café: ");

  private static TinyModel tiny;
  private static LorikeetGenerator generator;

  @TempDir Path directory;

  @BeforeAll
  static void open() {
    tiny = TinyModel.extract();
    LorikeetGenerator.Builder builder = LorikeetGenerator.builder(tiny.base());
    tiny.adapterNames().forEach(name -> builder.register(name, tiny.adapter(name)));
    generator = settings(builder).open();
  }

  /** Keys and values in float32, as Jlama keeps them. */
  private static LorikeetGenerator.Builder settings(LorikeetGenerator.Builder builder) {
    return builder.settings(
        lorikeet ->
            lorikeet
                .poolBytes(64L << 20)
                .modelOption("threads", "2")
                .modelOption("kv-type", "f32"));
  }

  @AfterAll
  static void close() {
    generator.close();
  }

  private static Response greedy(Generator model, UUID session, String prompt, int ntokens) {
    return model.generate(session, PromptContext.of(prompt), 0f, ntokens);
  }

  private static List<Integer> tokens(String text) {
    return Arrays.stream(generator.getTokenizer().encode(text)).mapToObj(Math::toIntExact).toList();
  }

  private static void assertSameResponse(Response expected, Response found, String prompt) {
    assertEquals(expected.responseText, found.responseText, prompt);
    assertEquals(
        expected.responseTextWithSpecialTokens, found.responseTextWithSpecialTokens, prompt);
    assertEquals(expected.finishReason, found.finishReason, prompt);
    assertEquals(expected.promptTokens, found.promptTokens, prompt);
    assertEquals(expected.generatedTokens, found.generatedTokens, prompt);
    assertEquals(expected.toolCalls, found.toolCalls, prompt);
  }

  @Test
  void greedyResponsesAndCallbacksAreJlamas() {
    try (AbstractModel jlama = JlamaModels.load(tiny.base())) {
      for (String prompt : PROMPTS.subList(0, 4)) {
        List<String> expected = new ArrayList<>();
        List<String> found = new ArrayList<>();
        Response theirs =
            jlama.generate(
                UUID.randomUUID(), PromptContext.of(prompt), 0f, 30, (t, ms) -> expected.add(t));
        Response ours =
            generator.generate(
                UUID.randomUUID(), PromptContext.of(prompt), 0f, 30, (t, ms) -> found.add(t));
        assertSameResponse(theirs, ours, prompt);
        assertEquals(expected, found, prompt);
      }
    }
  }

  @Test
  void aStopTokenEndsAGenerationWhereItEndsJlamas() {
    Path base = JlamaModels.copy(directory.resolve("model"));
    // " and" as the end of a sequence: the base model comes to it soon
    JlamaModels.set(base.resolve("config.json"), "eos_token_id", tokens(" and").getFirst());
    try (AbstractModel jlama = JlamaModels.load(base);
        LorikeetGenerator lorikeet = settings(LorikeetGenerator.builder(base)).open()) {
      for (String prompt : PROMPTS.subList(0, 3)) {
        Response theirs = greedy(jlama, UUID.randomUUID(), prompt, 60);
        assertEquals(FinishReason.STOP_TOKEN, theirs.finishReason, prompt);
        assertSameResponse(theirs, greedy(lorikeet, UUID.randomUUID(), prompt, 60), prompt);
      }
    }
  }

  @Test
  void theNumberOfTokensBoundsPromptAndAnswerTogether() {
    for (String prompt : PROMPTS) {
      int length = tokens(prompt).size();
      for (int ntokens : new int[] {length + 1, length + 2, length + 9}) {
        List<String> pieces = new ArrayList<>();
        Response response =
            generator.generate(
                UUID.randomUUID(),
                PromptContext.of(prompt),
                0f,
                ntokens,
                (text, ms) -> pieces.add(text));
        assertEquals(FinishReason.MAX_TOKENS, response.finishReason, prompt);
        assertEquals(length, response.promptTokens, prompt);
        assertEquals(ntokens - length - 1, response.generatedTokens, prompt);
        assertEquals(response.generatedTokens + 1, pieces.size(), prompt);
      }
    }
  }

  @Test
  void aSessionContinuesWithAllThatItHasReadAndWritten() {
    UUID session = UUID.randomUUID();
    List<Integer> context = new ArrayList<>();
    int end = 0;
    try (Lorikeet fresh = lorikeet()) {
      for (String prompt : PROMPTS) {
        context.add(1);
        context.addAll(tokens(prompt));
        end = context.size() + 6;
        Response response = greedy(generator, session, prompt, end);
        // the same context as a prompt of its own; seven tokens, for one comes with the prompt
        var expected =
            fresh
                .submit(GenerationRequest.tokens(List.copyOf(context)).maxTokens(7).build())
                .await();
        assertEquals(expected.text(), response.responseText, prompt);
        context.addAll(expected.tokens());
      }
    }
    assertNotEquals(
        greedy(generator, session, " and", end + 40).responseText,
        greedy(generator, UUID.randomUUID(), " and", end + 40).responseText);
  }

  private static Lorikeet lorikeet() {
    return Lorikeet.builder(tiny.base())
        .poolBytes(64L << 20)
        .modelOption("threads", "2")
        .modelOption("kv-type", "f32")
        .open();
  }

  @Test
  void aTokenThatEndsAGenerationIsNoPartOfItsSession() {
    LorikeetGenerator glossary = generator.withAdapter("glossary");
    UUID session = UUID.randomUUID();
    Response first = greedy(glossary, session, "The people of the", 200);
    assertEquals(FinishReason.STOP_TOKEN, first.finishReason);
    assertEquals(" United States (noun): a member of the United States.", first.responseText);
    assertEquals(first.responseText, first.responseTextWithSpecialTokens);

    try (Lorikeet fresh = lorikeet()) {
      fresh.register("glossary", tiny.adapter("glossary"));
      List<Integer> context = new ArrayList<>(List.of(1));
      context.addAll(tokens("The people of the"));
      context.addAll(continued(fresh, context, 100));
      assertEquals(2, context.removeLast());
      context.add(1);
      context.addAll(tokens("The ship"));
      List<Integer> expected = continued(fresh, context, 61 - context.size());
      assertEquals(
          fresh.model().decode(expected), greedy(glossary, session, "The ship", 60).responseText);
    }
  }

  private static List<Integer> continued(Lorikeet lorikeet, List<Integer> context, int tokens) {
    return lorikeet
        .submit(
            GenerationRequest.tokens(List.copyOf(context))
                .adapter("glossary")
                .maxTokens(tokens)
                .build())
        .await()
        .tokens();
  }

  @Test
  void callbacksComeOnTheCallingThreadWithAllTextAndTimes() {
    Thread caller = Thread.currentThread();
    StringBuilder text = new StringBuilder();
    Response response =
        generator.generate(
            UUID.randomUUID(),
            PromptContext.of("The ship"),
            0f,
            50,
            (piece, ms) -> {
              assertSame(caller, Thread.currentThread());
              assertTrue(ms >= 0 && Float.isFinite(ms), "milliseconds: " + ms);
              text.append(piece);
            });
    assertEquals(response.responseText, text.toString());
  }

  @Test
  void anExceptionOfTheCallbackIsThrownAndLeavesTheSession() {
    UUID session = UUID.randomUUID();
    assertEquals(
        "enough",
        assertThrows(
                UnsupportedOperationException.class,
                () ->
                    generator.generate(
                        session,
                        PromptContext.of("The ship"),
                        0f,
                        900,
                        (text, ms) -> {
                          throw new UnsupportedOperationException("enough");
                        }))
            .getMessage());
    assertSameResponse(
        greedy(generator, UUID.randomUUID(), "The ship", 30),
        greedy(generator, session, "The ship", 30),
        "as if it were new");
  }

  @Test
  void aCallbackMayNotEnterItsOwnSession() {
    UUID session = UUID.randomUUID();
    PromptContext prompt = PromptContext.of("The ship");
    assertThrows(
        IllegalStateException.class,
        () ->
            generator.generate(
                session, prompt, 0f, 30, (text, ms) -> generator.generate(session, prompt, 0f, 9)));
  }

  @Test
  void viewsUseTheirAdaptersAndShareSessions() {
    assertEquals(
        "s of the house of the LORD, and the border of the house of the LORD, ",
        greedy(generator.withAdapter("scripture"), UUID.randomUUID(), "The ship", 33)
            .responseText
            .substring(0, 69));
    assertTrue(
        greedy(generator, UUID.randomUUID(), "The ship", 33)
            .responseText
            .startsWith("s of the United States"));

    UUID session = UUID.randomUUID();
    greedy(generator.withAdapter("voyage"), session, "The ship", 20);
    Response continued = greedy(generator.withAdapter("scripture"), session, " and", 60);
    assertNotEquals(
        greedy(generator.withAdapter("scripture"), UUID.randomUUID(), " and", 60).responseText,
        continued.responseText);
    assertEquals(
        LorikeetException.Code.ADAPTER_NOT_FOUND,
        assertThrows(
                LorikeetException.class,
                () -> greedy(generator.withAdapter("none"), session, "The ship", 20))
            .code());
  }

  @Test
  void eightThreadsGetWhatOneByOneGives() throws Exception {
    List<String> adapters = tiny.adapterNames();
    List<List<String>> alone = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      alone.add(conversation(i, adapters));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      List<Future<List<String>>> together = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        int number = i;
        together.add(threads.submit(() -> conversation(number, adapters)));
      }
      for (int i = 0; i < 8; i++) {
        assertEquals(alone.get(i), together.get(i).get(), "conversation " + i);
      }
    }
    assertEquals(8, Set.copyOf(alone).size(), "answers differ: " + alone);
  }

  private static List<String> conversation(int number, List<String> adapters) {
    LorikeetGenerator view = generator.withAdapter(adapters.get(number % adapters.size()));
    UUID session = UUID.randomUUID();
    List<String> answers = new ArrayList<>();
    int end = 0;
    for (int turn = 0; turn < 3; turn++) {
      String prompt = PROMPTS.get((number / 4 + turn) % 4);
      end += 24;
      answers.add(greedy(view, session, prompt, end).responseText);
    }
    return answers;
  }

  @Test
  void oneSessionServesItsCallsOneAfterTheOther() throws Exception {
    UUID session = UUID.randomUUID();
    List<Future<Response>> calls = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      for (int i = 0; i < 4; i++) {
        calls.add(threads.submit(() -> greedy(generator, session, "The ship", 5)));
      }
    }
    for (Future<Response> call : calls) {
      call.get();
    }
    UUID inTurn = UUID.randomUUID();
    for (int i = 0; i < 4; i++) {
      greedy(generator, inTurn, "The ship", 5);
    }
    assertEquals(
        greedy(generator, inTurn, " and", 80).responseText,
        greedy(generator, session, " and", 80).responseText);
  }

  @Test
  void promptsThatAreTooLongAreRefused() {
    UUID session = UUID.randomUUID();
    IllegalArgumentException byCall =
        assertThrows(
            IllegalArgumentException.class,
            () -> greedy(generator, session, "The people of the", 4));
    assertTrue(byCall.toString().contains("fewer than 4 tokens"), byCall.toString());
    String many = "The ship ".repeat(600);
    assertThrows(
        IllegalArgumentException.class, () -> greedy(generator, session, many, Integer.MAX_VALUE));
    String half = "The ship ".repeat(290);
    greedy(generator, session, half, 600);
    IllegalArgumentException bySession =
        assertThrows(
            IllegalArgumentException.class,
            () -> greedy(generator, session, half, Integer.MAX_VALUE));
    assertTrue(bySession.toString().contains("session " + session), bySession.toString());
  }

  @Test
  void anEmptyPromptContinuesWhatThereIs() {
    UUID session = UUID.randomUUID();
    Response response = greedy(generator, session, "", 9);
    assertEquals(0, response.promptTokens);
    assertFalse(response.responseText.isEmpty());
  }

  @Test
  void theModelsWholeContextMayBeAskedForWhereThePoolHasLessRoom() {
    try (LorikeetGenerator small =
        LorikeetGenerator.builder(tiny.base())
            .settings(lorikeet -> lorikeet.poolBytes(1 << 20).modelOption("threads", "1"))
            .open()) {
      int all = small.getConfig().contextLength;
      assertEquals(1024, all);
      Response response = greedy(small, UUID.randomUUID(), "The ship", all);
      assertEquals(FinishReason.MAX_TOKENS, response.finishReason);
      assertTrue(
          response.generatedTokens > 64 && response.generatedTokens < 1000,
          "tokens: " + response.generatedTokens);
    }
  }

  @Test
  void aSeedRepeatsACallAndWithoutOneCallsDiffer() {
    try (Lorikeet lorikeet = lorikeet();
        LorikeetGenerator seeded =
            settings(LorikeetGenerator.builder(tiny.base())).seed(7).open()) {
      PromptContext prompt = PromptContext.of("The people of the");
      assertEquals(
          seeded.generate(UUID.randomUUID(), prompt, 1f, 60).responseText,
          seeded.generate(UUID.randomUUID(), prompt, 1f, 60).responseText);
      LorikeetGenerator free = LorikeetGenerator.of(lorikeet, new AdapterChoice.None());
      assertNotEquals(
          free.generate(UUID.randomUUID(), prompt, 1f, 200).responseText,
          free.generate(UUID.randomUUID(), prompt, 1f, 200).responseText);
      assertThrows(
          LorikeetException.class, () -> free.generate(UUID.randomUUID(), prompt, -1f, 60));
    }
  }

  @Test
  void closingClosesWhatWasOpenedAndNothingElse() {
    try (Lorikeet lorikeet = lorikeet()) {
      LorikeetGenerator over = LorikeetGenerator.of(lorikeet, new AdapterChoice.None());
      over.withAdapter("voyage").close();
      greedy(over, UUID.randomUUID(), "The ship", 5);
      over.close();
      over.close();
      assertEquals(
          LorikeetException.Code.CLOSED,
          assertThrows(
                  LorikeetException.class, () -> greedy(over, UUID.randomUUID(), "The ship", 5))
              .code());
      assertFalse(lorikeet.generate("The ship").isEmpty());
    }
  }

  @Test
  void closingEndsTheCallsThatRun() {
    LorikeetGenerator own = settings(LorikeetGenerator.builder(tiny.base())).open();
    assertEquals(
        LorikeetException.Code.CLOSED,
        assertThrows(
                LorikeetException.class,
                () ->
                    own.generate(
                        UUID.randomUUID(),
                        PromptContext.of("The ship"),
                        0f,
                        1000,
                        (text, ms) -> own.close()))
            .code());
  }

  @Test
  void whatDecoderModelsCannotDoIsSaidAsJlamaSaysIt() {
    assertThrows(
        UnsupportedOperationException.class,
        () -> generator.classify("The ship", Generator.PoolingType.AVG));
  }
}
