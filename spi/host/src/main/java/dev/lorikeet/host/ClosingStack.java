package dev.lorikeet.host;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Resources to close in the reverse order of their opening, all of them even if one fails. For one
 * thread.
 */
public final class ClosingStack implements AutoCloseable {
  private final Deque<AutoCloseable> resources = new ArrayDeque<>();

  /** Creates an empty stack. */
  public ClosingStack() {}

  /**
   * Takes over a resource.
   *
   * @return the resource
   */
  public <R extends AutoCloseable> R push(R resource) {
    resources.push(resource);
    return resource;
  }

  /** Closes what was taken over; the first failure is thrown, with the others suppressed. */
  @Override
  public void close() {
    Throwable failure = null;
    while (!resources.isEmpty()) {
      try {
        resources.pop().close();
      } catch (Throwable e) { // errors too: what is left open holds pages
        if (failure == null) {
          failure = e;
        } else if (!failure.equals(e)) {
          failure.addSuppressed(e);
        }
      }
    }
    switch (failure) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(failure);
    }
  }
}
