package dev.lorikeet.cluster;

import java.lang.foreign.MemorySegment;

/** What one member sent to another. Belongs to whoever took it from the inbox, until closed. */
public final class Message implements AutoCloseable {
  private final int from;
  private final int kind;
  private final MemorySegment body;
  private final Runnable taken;
  private final Runnable released;
  private boolean closed;

  Message(int from, int kind, MemorySegment body, Runnable taken, Runnable released) {
    this.from = from;
    this.kind = kind;
    this.body = body;
    this.taken = taken;
    this.released = released;
  }

  /** Returns the number of the member that sent it. */
  public int from() {
    return from;
  }

  /** Returns what it is about: at least 0, whatever sender and receiver have agreed on. */
  public int kind() {
    return kind;
  }

  /** Returns what it says, aligned to 64 bytes; not to be used any more once closed. */
  public MemorySegment body() {
    return body;
  }

  /** Notes that it left the inbox. */
  void taken() {
    taken.run();
  }

  /** Gives the memory back. Idempotent. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      released.run();
    }
  }
}
