package dev.lorikeet.arrow;

import dev.lorikeet.arrow.offheap.FfmAllocationManager;
import dev.lorikeet.arrow.pool.ArrowPagePool;
import dev.lorikeet.plugin.Availability;

/** Whether Arrow works in this JVM: allocates for a moment and sees. */
final class ArrowAvailability {
  private static final long PROBE_BYTES = 64;
  private static final int MAX_CAUSES = 16;

  private ArrowAvailability() {}

  static Availability check() {
    try (var allocator =
        ArrowPagePool.allocator(new FfmAllocationManager.FfmFactory(), PROBE_BYTES)) {
      allocator.buffer(PROBE_BYTES).close();
      return Availability.available("Apache Arrow on java.lang.foreign memory");
    } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
      return Availability.unavailable("Apache Arrow does not start here: " + rootOf(e));
    }
  }

  private static Throwable rootOf(Throwable thrown) {
    Throwable root = thrown;
    for (int depth = 0; depth < MAX_CAUSES; depth++) {
      Throwable cause = root.getCause();
      if (cause == null) {
        break;
      }
      root = cause;
    }
    return root;
  }
}
