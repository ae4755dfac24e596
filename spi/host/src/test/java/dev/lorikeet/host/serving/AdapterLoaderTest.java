package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.host.serving.AdapterLoader.Outcome;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.telemetry.RequestLabels;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import io.opentelemetry.api.OpenTelemetry;
import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class AdapterLoaderTest {
  private final AtomicInteger open = new AtomicInteger();
  private final RequestTrace trace =
      new Telemetry(OpenTelemetry.noop(), Path.of("target"))
          .request(new RequestLabels.Generate(GenerationRequest.tokens(List.of(1)).build()));

  private class Lease implements AdapterLease {
    private final AdapterSpec spec;

    Lease(TargetModule... modules) {
      spec =
          AdapterSpec.of(
              "a",
              1,
              List.of(modules).stream()
                  .map(m -> new TargetSpec(m, 1, 1, 1, 1f, 1, 1, ElementType.F32, false))
                  .toList());
      open.incrementAndGet();
    }

    @Override
    public AdapterSpec spec() {
      return spec;
    }

    @Override
    public Optional<LoraWeights> weights(TargetModule target) {
      return Optional.empty();
    }

    @Override
    public void close() {
      open.decrementAndGet();
    }
  }

  /** A store that has one adapter of these modules in memory. */
  private AdapterLoader loader(TargetModule... modules) {
    return new AdapterLoader(
        (AdapterStore)
            Proxy.newProxyInstance(
                AdapterStore.class.getClassLoader(),
                new Class<?>[] {AdapterStore.class},
                (self, method, arguments) ->
                    switch (method.getName()) {
                      case "acquire" -> new Lease(modules);
                      case "acquireIfResident" -> Optional.of(new Lease(modules));
                      default -> throw new UnsupportedOperationException(method.getName());
                    }),
        decoder());
  }

  /** A decoder that has the defaults of the interface and nothing else. */
  private static StepDecoder decoder() {
    return (StepDecoder)
        Proxy.newProxyInstance(
            StepDecoder.class.getClassLoader(),
            new Class<?>[] {StepDecoder.class},
            (self, method, arguments) -> InvocationHandler.invokeDefault(self, method, arguments));
  }

  private Outcome load(AdapterLoader loader) {
    CompletableFuture<Outcome> outcome = new CompletableFuture<>();
    loader.load(List.of("a"), trace, outcome::complete);
    return outcome.join();
  }

  @Test
  void modulesThatNoStepAppliesAreRefusedAndTheLeaseIsGivenBack() {
    for (TargetModule foreign :
        List.of(
            TargetModule.embedding(),
            TargetModule.output(),
            TargetModule.ofExpert(0, Projection.GATE, 2))) {
      try (AdapterLoader loader = loader(TargetModule.of(0, Projection.Q), foreign)) {
        assertTrue(loader.acquireIfResident(List.of("a")).isEmpty());
        LorikeetException reason = assertInstanceOf(Outcome.Failed.class, load(loader)).reason();
        assertEquals(LorikeetException.Code.ADAPTER_UNSUPPORTED, reason.code());
        assertTrue(
            String.valueOf(reason.getMessage()).endsWith("found " + foreign.moduleName()),
            reason.getMessage());
        assertEquals(0, open.get(), "open leases");
      }
    }
  }

  @Test
  void linearLayersOfBlocksAreLeased() {
    try (AdapterLoader loader = loader(TargetModule.of(0, Projection.Q))) {
      assertEquals(1, loader.acquireIfResident(List.of("a")).orElseThrow().size());
      assertInstanceOf(Outcome.Leased.class, load(loader));
      assertEquals(2, open.get(), "open leases");
    }
  }

  /** A store whose second adapter throws, as do all leases once they are closed. */
  private AdapterLoader failing(Throwable fault) {
    AdapterStore store = new FakeModel().openStore(new FakeModel().openPool(80));
    return new AdapterLoader(
        new FailingStore(store) {
          @Override
          public AdapterLease acquire(String id) {
            if (id.equals("second")) {
              throw AdapterLoaderTest.<RuntimeException>unchecked(fault);
            }
            return new Lease(TargetModule.of(0, Projection.Q)) {
              @Override
              public void close() {
                super.close();
                throw new IllegalStateException("closing failed");
              }
            };
          }

          @Override
          public Optional<AdapterLease> acquireIfResident(String id) {
            return Optional.of(acquire(id));
          }
        },
        decoder());
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
  private static <E extends Throwable> E unchecked(Throwable fault) throws E {
    throw (E) fault;
  }

  @Test
  void whateverAStoreThrowsIsToldAndAllLeasesAreClosed() {
    for (Throwable fault :
        List.of(
            new IOException("a checked one, which Kotlin does not declare"),
            new IllegalStateException("a defect"),
            new NoClassDefFoundError("a/Missing"))) {
      try (AdapterLoader loader = failing(fault)) {
        List<String> adapters = List.of("first", "third", "second");
        assertEquals(Optional.empty(), loader.acquireIfResident(adapters), "asked again by a load");
        assertEquals(0, open.get(), "open leases");
        CompletableFuture<Outcome> outcome = new CompletableFuture<>();
        loader.load(adapters, trace, outcome::complete);
        LorikeetException reason =
            assertInstanceOf(Outcome.Failed.class, outcome.orTimeout(60, TimeUnit.SECONDS).join())
                .reason();
        assertEquals(LorikeetException.Code.INTERNAL, reason.code());
        assertSame(fault, reason.getCause());
        assertEquals(0, open.get(), "open leases");
      }
    }
  }
}
