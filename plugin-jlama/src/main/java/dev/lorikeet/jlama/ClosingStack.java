package dev.lorikeet.jlama;

import java.util.ArrayDeque;
import java.util.Deque;

/** Resources to close in the reverse order of their opening, all of them even if one fails. */
final class ClosingStack implements AutoCloseable {
  /** A resource whose close throws nothing that must be declared. */
  interface Resource {
    void close();
  }

  private final Deque<Resource> resources = new ArrayDeque<>();

  void push(Resource resource) {
    resources.push(resource);
  }

  @Override
  public void close() {
    RuntimeException failure = null;
    while (!resources.isEmpty()) {
      try {
        resources.pop().close();
      } catch (RuntimeException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
