package dev.lorikeet.arrow;

import dev.lorikeet.arrow.offheap.FfmAllocationManager;
import dev.lorikeet.plugin.Availability;
import java.nio.Buffer;
import org.apache.arrow.memory.ArrowBuf;

/** Whether Arrow works in this JVM: asks the module system first, then allocates for a moment. */
final class ArrowAvailability {
  /** The module of Arrow's memory classes when they are loaded from the module path. */
  private static final String ARROW_MODULE = "org.apache.arrow.memory.core";

  private ArrowAvailability() {}

  static Availability check() {
    try {
      // Arrow's class initializer prints a stack trace before it fails, so look before touching it.
      Module arrow = ArrowBuf.class.getModule();
      if (!Buffer.class.getModule().isOpen("java.nio", arrow)) {
        String to = arrow.isNamed() ? ARROW_MODULE : "ALL-UNNAMED";
        return Availability.unavailable(
            "Apache Arrow needs the JVM flag --add-opens=java.base/java.nio=" + to);
      }
      var factory = new FfmAllocationManager.FfmFactory();
      try (var allocator = ArrowPagePool.allocator(factory, 64)) {
        allocator.buffer(64).close();
      }
      return Availability.available("Apache Arrow on java.lang.foreign memory");
    } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
      return Availability.unavailable("Apache Arrow does not start here: " + rootOf(e));
    }
  }

  private static Throwable rootOf(Throwable thrown) {
    Throwable root = thrown;
    for (int depth = 0; depth < 16; depth++) {
      Throwable cause = root.getCause();
      if (cause == null) {
        break;
      }
      root = cause;
    }
    return root;
  }
}
