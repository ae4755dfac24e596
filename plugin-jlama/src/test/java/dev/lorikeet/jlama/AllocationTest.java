package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.lorikeet.model.Generation;
import dev.lorikeet.tiny.TinyModel;
import io.opentelemetry.api.GlobalOpenTelemetry;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the decoding thread allocates when nothing but decoding goes on. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class AllocationTest {
  private static final int SEQUENCES = 8;
  private static final int WINDOW = 100;
  private static final int WINDOWS = 9;

  /**
   * A token that is handed out takes about 200 bytes: itself, its text, its id and its place in the
   * log. In all 320 to 410 were measured.
   */
  private static final int BYTES_PER_TOKEN = 640;

  private static final int ATTEMPTS = 4;

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @Test
  void theDecodingThreadAllocatesLittleMoreThanTheTokensThatItHandsOut() {
    TinyModel tiny = TinyModel.extract();
    try (Opened opened = Opened.of(tiny, Opened.builder(tiny))) {
      double least = Double.MAX_VALUE;
      // Kernels allocate until they are compiled, and when that is done nobody tells.
      for (int i = 0; i < ATTEMPTS && least >= BYTES_PER_TOKEN; i++) {
        least = Math.min(least, leastBytesPerToken(opened));
      }
      assertTrue(least < BYTES_PER_TOKEN, "bytes per token: " + least);
    }
  }

  /** Returns what the decoding thread allocates per token in the best stretch of a generation. */
  private double leastBytesPerToken(Opened opened) {
    List<Long> allocated = new CopyOnWriteArrayList<>();
    List<Generation> generations = new ArrayList<>();
    for (int i = 0; i < SEQUENCES; i++) {
      var request =
          Opened.request(
              List.of(1, 50 + i),
              Optional.of(opened.tiny.adapterNames().get(i % 4)),
              WINDOW * WINDOWS + 1);
      if (i == 0) {
        request.onToken(
            token -> {
              if (token.index() % WINDOW == 0) {
                allocated.add(threads.getCurrentThreadAllocatedBytes());
              }
            });
      }
      generations.add(opened.lorikeet.submit(request.build()));
    }
    generations.forEach(Generation::await);
    return IntStream.range(1, allocated.size())
        .mapToLong(i -> allocated.get(i) - allocated.get(i - 1))
        .mapToDouble(bytes -> bytes / (double) (WINDOW * SEQUENCES))
        .min()
        .orElseThrow();
  }

  @Test
  void openingAModelLeavesTheGlobalTelemetryToTheApplication() {
    try (Opened opened = Opened.tiny()) {
      opened.lorikeet.submit(Opened.request(List.of(1), Optional.empty(), 2).build()).await();
      assertFalse(GlobalOpenTelemetry.isSet());
    }
  }
}
