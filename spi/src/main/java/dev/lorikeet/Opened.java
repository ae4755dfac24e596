package dev.lorikeet;

import java.util.ArrayDeque;
import java.util.Deque;

/** What is closed together, the last opened first, all of it even if one fails. For one thread. */
final class Opened implements AutoCloseable {
  private Deque<AutoCloseable> resources = new ArrayDeque<>();

  /** Takes over a resource and returns it. */
  <R extends AutoCloseable> R owns(R resource) {
    resources.push(resource);
    return resource;
  }

  /** Hands everything over to another owner. */
  Opened keep() {
    Opened kept = new Opened();
    kept.resources = resources;
    resources = new ArrayDeque<>();
    return kept;
  }

  /**
   * Closes everything.
   *
   * @throws LorikeetException if something could not be closed; an error goes on as it is, once
   *     everything is closed
   */
  @Override
  public void close() {
    LorikeetException failure = null;
    Error error = null;
    while (!resources.isEmpty()) {
      AutoCloseable resource = resources.pop();
      try {
        resource.close();
      } catch (Exception e) {
        LorikeetException told = Failures.of("closing", e);
        if (failure == null) {
          failure = told;
        } else {
          failure.addSuppressed(told);
        }
      } catch (Error e) {
        error = e;
      }
    }
    if (error != null) {
      throw error;
    }
    if (failure != null) {
      throw failure;
    }
  }
}
