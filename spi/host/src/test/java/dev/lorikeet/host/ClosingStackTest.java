package dev.lorikeet.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ClosingStackTest {
  private final List<String> closed = new ArrayList<>();

  private ClosingStack stack(Throwable... faults) {
    ClosingStack stack = new ClosingStack();
    stack.push(() -> closed.add("first"));
    for (Throwable fault : faults) {
      stack.push(
          () -> {
            switch (fault) {
              case Exception e -> throw e;
              case Error e -> throw e;
              default -> throw new AssertionError(fault);
            }
          });
    }
    stack.push(() -> closed.add("last"));
    return stack;
  }

  @Test
  void everythingIsClosedWhateverIsThrown() {
    Error error = new NoClassDefFoundError("a/Missing");
    RuntimeException exception = new IllegalStateException("a defect");
    Error thrown = assertThrows(Error.class, () -> stack(exception, error).close());
    assertSame(error, thrown, "that of the one opened later");
    assertArrayEquals(new Throwable[] {exception}, thrown.getSuppressed());
    assertEquals(List.of("last", "first"), closed);
  }

  @Test
  void checkedExceptionsAreTold() {
    IOException exception = new IOException("a disk");
    IllegalStateException thrown =
        assertThrows(IllegalStateException.class, () -> stack(exception).close());
    assertSame(exception, thrown.getCause());
    assertEquals(List.of("last", "first"), closed);
  }
}
