package dev.lorikeet.jlama;

import static io.opentelemetry.api.common.AttributeKey.doubleKey;
import static io.opentelemetry.api.common.AttributeKey.longKey;
import static io.opentelemetry.api.common.AttributeKey.stringArrayKey;
import static io.opentelemetry.api.common.AttributeKey.stringKey;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.tiny.TinyModel;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.testing.junit5.OpenTelemetryExtension;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.data.StatusData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The spans of requests, however they end. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class SpansTest {
  @RegisterExtension
  static final OpenTelemetryExtension TELEMETRY = OpenTelemetryExtension.create();

  private static final AttributeKey<String> ERROR_TYPE = stringKey("error.type");

  private final Tracer tracer = TELEMETRY.getOpenTelemetry().getTracer("application");
  private final TinyModel tiny = TinyModel.extract();
  private Opened opened = Opened.of(tiny, Opened.builder(tiny));

  @AfterEach
  void close() {
    opened.close();
  }

  private void reopen(long poolBytes, String... options) {
    opened.close();
    var builder = Opened.builder(tiny).poolBytes(poolBytes);
    for (int i = 0; i < options.length; i += 2) {
      builder.modelOption(options[i], options[i + 1]);
    }
    opened = Opened.of(tiny, builder);
  }

  private static List<SpanData> requests() {
    return TELEMETRY.getSpans().stream()
        .filter(span -> span.getAttributes().get(stringKey("gen_ai.operation.name")) != null)
        .toList();
  }

  private static SpanData onlyRequest() {
    List<SpanData> requests = requests();
    assertEquals(1, requests.size(), requests.toString());
    return requests.getFirst();
  }

  private static List<SpanData> children(SpanData parent) {
    return TELEMETRY.getSpans().stream()
        .filter(span -> span.getParentSpanId().equals(parent.getSpanId()))
        .sorted(Comparator.comparingLong(SpanData::getStartEpochNanos))
        .toList();
  }

  private static List<String> names(List<SpanData> spans) {
    return spans.stream().map(SpanData::getName).toList();
  }

  private static SpanData child(SpanData parent, String name) {
    List<SpanData> found =
        children(parent).stream().filter(span -> span.getName().equals(name)).toList();
    assertEquals(1, found.size(), name + " among " + names(children(parent)));
    return found.getFirst();
  }

  private static void assertLiesWithin(SpanData parent, SpanData child) {
    assertTrue(child.getStartEpochNanos() >= parent.getStartEpochNanos(), child.getName());
    assertTrue(child.getEndEpochNanos() <= parent.getEndEpochNanos(), child.getName());
  }

  private static void assertError(Code code, SpanData span) {
    assertEquals(code.name(), span.getAttributes().get(ERROR_TYPE), span.getName());
    assertEquals(StatusData.error().getStatusCode(), span.getStatus().getStatusCode());
  }

  private static void assertNoError(SpanData span) {
    assertEquals(StatusData.unset(), span.getStatus(), span.getName());
    assertEquals(
        Optional.empty(),
        Optional.ofNullable(span.getAttributes().get(ERROR_TYPE)),
        span.getName());
  }

  @Test
  void aRequestIsAChildOfTheSubmittersSpanAndHasItsPhasesBelowIt() {
    Span application = tracer.spanBuilder("application").startSpan();
    Generation generation;
    try (Scope scope = application.makeCurrent()) {
      generation =
          opened.lorikeet.submit(
              Opened.request(List.of(1, 50, 60), Optional.of("voyage"), 7)
                  .sampling(Sampling.of(0.7f, 11).withTopK(40).withTopP(0.95f))
                  .tenant("acme")
                  .priority(3)
                  .build());
    }
    generation.await();
    application.end();
    SpanData request = onlyRequest();
    String model = String.valueOf(tiny.base().getFileName());
    assertEquals("text_completion " + model, request.getName());
    assertEquals(application.getSpanContext().getSpanId(), request.getParentSpanId());
    assertEquals(application.getSpanContext().getTraceId(), request.getTraceId());
    assertNoError(request);
    var attributes = request.getAttributes();
    assertEquals("text_completion", attributes.get(stringKey("gen_ai.operation.name")));
    assertEquals("lorikeet", attributes.get(stringKey("gen_ai.provider.name")));
    assertEquals(model, attributes.get(stringKey("gen_ai.request.model")));
    assertEquals(7, attributes.get(longKey("gen_ai.request.max_tokens")));
    assertEquals(0.7, attributes.get(doubleKey("gen_ai.request.temperature")));
    assertEquals(0.95, attributes.get(doubleKey("gen_ai.request.top_p")));
    assertEquals(40.0, attributes.get(doubleKey("gen_ai.request.top_k")));
    assertEquals(11, attributes.get(longKey("gen_ai.request.seed")));
    assertEquals(3, attributes.get(longKey("gen_ai.usage.input_tokens")));
    assertEquals(7, attributes.get(longKey("gen_ai.usage.output_tokens")));
    assertEquals(
        List.of("length"), attributes.get(stringArrayKey("gen_ai.response.finish_reasons")));
    assertEquals(List.of("voyage"), attributes.get(stringArrayKey("lorikeet.adapters")));
    assertEquals("acme", attributes.get(stringKey("lorikeet.tenant")));
    assertEquals(3, attributes.get(longKey("lorikeet.priority")));

    assertEquals(List.of("queue", "adapter_load", "prefill", "decode"), names(children(request)));
    children(request).forEach(SpansTest::assertNoError);
    children(request).forEach(child -> assertLiesWithin(request, child));
    SpanData queue = child(request, "queue");
    assertLiesWithin(queue, child(request, "adapter_load"));
    assertEquals(
        "voyage",
        child(request, "adapter_load").getAttributes().get(stringKey("lorikeet.adapter")));
    assertEquals(3, child(request, "prefill").getAttributes().get(longKey("lorikeet.tokens")));
    assertEquals(7, child(request, "decode").getAttributes().get(longKey("lorikeet.tokens")));
    assertTrue(queue.getEndEpochNanos() <= child(request, "prefill").getStartEpochNanos());
  }

  @Test
  void anAdapterInMemoryIsNotLoadedAgain() {
    for (int i = 0; i < 2; i++) {
      opened.lorikeet.submit(Opened.request(List.of(1), Optional.of("jargon"), 2).build()).await();
    }
    List<SpanData> requests = requests();
    assertEquals(2, requests.size());
    assertEquals(List.of("queue", "prefill", "decode"), names(children(requests.getLast())));
  }

  @Test
  void whatThePrefixCacheSparesIsTold() {
    List<Integer> prompt = new ArrayList<>();
    for (int t = 0; t < 600; t++) {
      prompt.add(3 + (11 * t) % 2045);
    }
    for (int i = 0; i < 2; i++) {
      opened.lorikeet.submit(Opened.request(prompt, Optional.empty(), 2).build()).await();
    }
    AttributeKey<Long> cached = longKey("gen_ai.usage.cache_read.input_tokens");
    List<SpanData> requests = requests();
    assertEquals(
        Optional.empty(), Optional.ofNullable(requests.getFirst().getAttributes().get(cached)));
    long spared = Optional.ofNullable(requests.getLast().getAttributes().get(cached)).orElse(0L);
    assertTrue(spared > 0);
    SpanData prefill = child(requests.getLast(), "prefill");
    assertEquals(600 - spared, prefill.getAttributes().get(longKey("lorikeet.tokens")));
    assertEquals(600, requests.getLast().getAttributes().get(longKey("gen_ai.usage.input_tokens")));
  }

  @Test
  void aScoreHasNoDecodePhase() {
    opened.lorikeet.score(new Prompt.Tokens(List.of(1, 50, 60, 70)), new AdapterChoice.None());
    SpanData request = onlyRequest();
    assertEquals("score", request.getAttributes().get(stringKey("gen_ai.operation.name")));
    assertEquals(4, request.getAttributes().get(longKey("gen_ai.usage.input_tokens")));
    assertEquals(List.of("queue", "prefill"), names(children(request)));
  }

  @Test
  void aCancelledRequestEndsInThePhaseItHadReached() throws InterruptedException {
    CountDownLatch begun = new CountDownLatch(3);
    Generation generation =
        opened.lorikeet.submit(
            Opened.request(List.of(1, 50, 60), Optional.empty(), 900).build(),
            RequestObserver.tokens(token -> begun.countDown()));
    begun.await();
    generation.cancel();
    assertThrows(LorikeetException.class, generation::await);
    SpanData request = onlyRequest();
    assertError(Code.CANCELLED, request);
    assertError(Code.CANCELLED, child(request, "decode"));
    assertNoError(child(request, "prefill"));
    assertEquals(
        child(request, "decode").getAttributes().get(longKey("lorikeet.tokens")),
        request.getAttributes().get(longKey("gen_ai.usage.output_tokens")));
  }

  @Test
  void aRequestThatTimesOutInTheQueueNeverStarts() {
    reopen(64L << 20, "max-batch-size", "1");
    Generation running =
        opened.lorikeet.submit(Opened.request(List.of(1, 2), Optional.empty(), 900).build());
    assertTrue(running.stream().findFirst().isPresent());
    Generation waiting =
        opened.lorikeet.submit(
            Opened.request(List.of(1, 2), Optional.empty(), 5)
                .timeout(Duration.ofMillis(1))
                .build());
    assertThrows(LorikeetException.class, waiting::await);
    SpanData request = onlyRequest();
    assertError(Code.DEADLINE_EXCEEDED, request);
    assertEquals(List.of("queue"), names(children(request)));
    assertError(Code.DEADLINE_EXCEEDED, child(request, "queue"));
    assertEquals(
        Optional.empty(),
        Optional.ofNullable(request.getAttributes().get(longKey("gen_ai.usage.output_tokens"))));
    running.cancel();
  }

  @Test
  void aRequestThatIsRefusedIsASpanWithoutPhases() {
    GenerationRequest unknown = Opened.request(List.of(1), Optional.of("nobody"), 5).build();
    assertThrows(LorikeetException.class, () -> opened.lorikeet.submit(unknown));
    SpanData request = onlyRequest();
    assertError(Code.ADAPTER_NOT_FOUND, request);
    assertTrue(request.getStatus().getDescription().contains("nobody"));
    assertEquals(
        List.of("nobody"), request.getAttributes().get(stringArrayKey("lorikeet.adapters")));
    assertEquals(List.of(), children(request));
  }

  @Test
  void anAdapterWhoseFilesAreGoneFailsInItsLoad(@TempDir Path copy) throws IOException {
    Path source = tiny.adapter("voyage");
    List<Path> files = new ArrayList<>();
    try (var listed = Files.list(source)) {
      for (Path file : listed.toList()) {
        files.add(Files.copy(file, copy.resolve(String.valueOf(file.getFileName()))));
      }
    }
    opened.lorikeet.register("fleeting", copy);
    for (Path file : files) {
      Files.delete(file);
    }
    Generation generation =
        opened.lorikeet.submit(Opened.request(List.of(1), Optional.of("fleeting"), 5).build());
    LorikeetException failure = assertThrows(LorikeetException.class, generation::await);
    SpanData request = onlyRequest();
    assertEquals(List.of("queue", "adapter_load"), names(children(request)));
    children(request).forEach(child -> assertError(failure.code(), child));
    assertError(failure.code(), request);
  }

  @Test
  void aPreemptedRequestWaitsAndComputesAgain() {
    reopen(4L << 20, "max-batch-size", "12");
    List<Generation> generations = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      List<Integer> prompt = new ArrayList<>();
      for (int t = 0; t < 20; t++) {
        prompt.add(3 + (37 * i + 11 * t) % 2045);
      }
      generations.add(
          opened.lorikeet.submit(
              Opened.request(prompt, Optional.of(tiny.adapterNames().get(i % 4)), 150).build()));
    }
    generations.forEach(Generation::await);
    long preemptions = 0;
    for (SpanData request : requests()) {
      assertNoError(request);
      long times =
          Optional.ofNullable(request.getAttributes().get(longKey("lorikeet.preemptions")))
              .orElse(0L);
      preemptions += times;
      assertEquals(times, request.getTotalRecordedEvents());
      List<String> phases = names(children(request));
      assertEquals(times + 1, phases.stream().filter("queue"::equals).count(), phases.toString());
      assertEquals(times + 1, phases.stream().filter("prefill"::equals).count());
      assertEquals(150, request.getAttributes().get(longKey("gen_ai.usage.output_tokens")));
      assertEquals(
          150,
          children(request).stream()
              .filter(child -> child.getName().equals("decode"))
              .mapToLong(
                  child ->
                      Optional.ofNullable(child.getAttributes().get(longKey("lorikeet.tokens")))
                          .orElse(0L))
              .sum());
    }
    assertTrue(preemptions > 0, "nothing was preempted");
  }

  @Test
  void whatARequestRouterTellsBelongsToItsRequest() {
    opened.lorikeet.addRouter(
        "telling",
        new RequestRouter() {
          @Override
          public Mixture route(RequestContext context) {
            tracer.spanBuilder("look up").startSpan().end();
            return Mixture.of("glossary");
          }
        });
    opened
        .lorikeet
        .submit(GenerationRequest.text("The ship").router("telling").maxTokens(2).build())
        .await();
    SpanData request = onlyRequest();
    assertEquals("look up", children(request).getFirst().getName());
    assertEquals("telling", request.getAttributes().get(stringKey("lorikeet.router")));
    assertEquals(
        List.of("glossary"), request.getAttributes().get(stringArrayKey("lorikeet.adapters")));
  }
}
