package dev.lorikeet.host.telemetry;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.Usage;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The spans of one request: the request itself and, below it, its phases. Used first by the
 * submitting thread, then by the decoding thread, which gets it through the queue; never by two at
 * once, but for {@link #adapterLoad}. Calls after the end have no effect.
 */
public final class RequestTrace {
  private enum Phase {
    SUBMITTED,
    QUEUED,
    PREFILL,
    DECODE,
    ENDED
  }

  private static final double NANOS = 1e9;

  private final Tracer tracer;
  private final Instruments instruments;
  private final Operation operation;
  private final long startNanos = System.nanoTime();
  private final Span request;
  private final Context context;
  private Span child = Span.getInvalid();
  private Phase phase = Phase.SUBMITTED;
  private boolean computed;
  private int inputTokens;
  private int outputTokens;
  private int phaseTokens;
  private int preemptions;

  RequestTrace(Tracer tracer, Instruments instruments, String model, RequestLabels labels) {
    this.tracer = tracer;
    this.instruments = instruments;
    this.operation = labels.operation();
    Context parent = Context.current();
    this.request =
        tracer
            .spanBuilder(operation.text() + " " + model)
            .setParent(parent)
            .setAllAttributes(instruments.of(operation))
            .startSpan();
    if (request.isRecording()) {
      labels.write(request);
    }
    this.context = parent.with(request);
  }

  /**
   * Checks and submits the request with its span as the thread's current one, so that routers can
   * add to it; what it throws fails the request.
   */
  public <T> T submission(Function<RequestTrace, T> submission) {
    try (Scope scope = context.makeCurrent()) {
      return submission.apply(this);
    } catch (RuntimeException | Error e) {
      failed(e);
      throw e;
    }
  }

  /** Notes the size of the prompt. */
  public void encoded(int promptTokens) {
    inputTokens = promptTokens;
    request.setAttribute(Keys.INPUT_TOKENS, (long) promptTokens);
  }

  /** Notes the adapters that the request uses, whoever chose them. */
  public void selected(List<String> adapters) {
    if (!adapters.isEmpty() && request.isRecording()) {
      request.setAttribute(Keys.ADAPTERS, adapters);
    }
  }

  /** The request waits for its turn. */
  public void queued() {
    enter(Phase.QUEUED, "queue");
  }

  /**
   * The request joins the batch.
   *
   * @param reused how many tokens at its beginning need not be computed
   * @param tokens how many tokens are computed before the next one is drawn
   */
  public void admitted(int reused, int tokens) {
    enter(Phase.PREFILL, "prefill");
    if (reused > 0 && !computed) {
      request.setAttribute(Keys.CACHED_TOKENS, (long) reused);
    }
    computed = true;
    phaseTokens = tokens;
  }

  /** A token was drawn. */
  public void token() {
    outputTokens++;
    if (phase == Phase.PREFILL) {
      enter(Phase.DECODE, "decode");
    }
    phaseTokens++;
  }

  /** The request gave its pages back and waits again. */
  public void preempted() {
    preemptions++;
    instruments.preempted();
    request.addEvent("lorikeet.preempted");
    queued();
  }

  /** Runs the fetching of one adapter's weights as a child of the request; from any thread. */
  public <T> T adapterLoad(String adapter, Supplier<T> load) {
    Span span =
        tracer
            .spanBuilder("adapter_load")
            .setParent(context)
            .setAttribute(Keys.ADAPTER, adapter)
            .startSpan();
    try (Scope scope = span.makeCurrent()) {
      return load.get();
    } catch (RuntimeException | Error e) {
      mark(span, e);
      throw e;
    } finally {
      span.end();
    }
  }

  /** A generation has its last token. */
  public void finished(FinishReason reason, Usage usage) {
    if (phase == Phase.ENDED) {
      return;
    }
    if (request.isRecording()) {
      request.setAttribute(Keys.FINISH_REASONS, List.of(name(reason)));
    }
    instruments.generated(
        operation,
        seconds(usage.timeToFirstToken()),
        seconds(usage.total()),
        usage.generatedTokens());
    instruments.succeeded(operation, seconds(usage.total()));
    end();
  }

  /** All log-probabilities are known. */
  public void scored() {
    if (phase != Phase.ENDED) {
      instruments.succeeded(operation, elapsed());
      end();
    }
  }

  /** The request failed, was cancelled or took too long. */
  public void failed(Throwable failure) {
    if (phase == Phase.ENDED) {
      return;
    }
    mark(child, failure);
    mark(request, failure);
    instruments.failed(operation, elapsed(), errorType(failure));
    end();
  }

  private void enter(Phase next, String name) {
    if (phase == Phase.ENDED) {
      return;
    }
    endChild();
    phase = next;
    child = tracer.spanBuilder(name).setParent(context).startSpan();
  }

  private void endChild() {
    if (phase == Phase.PREFILL || phase == Phase.DECODE) {
      child.setAttribute(Keys.TOKENS, (long) phaseTokens);
    }
    child.end();
    phaseTokens = 0;
  }

  private void end() {
    endChild();
    phase = Phase.ENDED;
    if (computed) {
      instruments.used(operation, inputTokens, outputTokens);
      request.setAttribute(Keys.OUTPUT_TOKENS, (long) outputTokens);
    }
    if (preemptions > 0) {
      request.setAttribute(Keys.PREEMPTIONS, (long) preemptions);
    }
    request.end();
  }

  private double elapsed() {
    return (System.nanoTime() - startNanos) / NANOS;
  }

  private static double seconds(Duration duration) {
    return duration.toNanos() / NANOS;
  }

  private static String name(FinishReason reason) {
    return switch (reason) {
      case STOP_TOKEN, STOP_STRING -> "stop";
      case LENGTH -> "length";
    };
  }

  private static void mark(Span span, Throwable failure) {
    span.setAttribute(Keys.ERROR_TYPE, errorType(failure));
    if (failure instanceof LorikeetException known) {
      span.setAttribute(Keys.ERROR_ID, known.id());
    }
    span.setStatus(StatusCode.ERROR, String.valueOf(failure.getMessage()));
  }

  private static String errorType(Throwable failure) {
    return failure instanceof LorikeetException known
        ? known.code().name()
        : failure.getClass().getName();
  }
}
