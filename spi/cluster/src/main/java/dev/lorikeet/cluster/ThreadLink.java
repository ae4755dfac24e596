package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** A link within a process: what is sent is copied once, into a body of the receiver's. */
final class ThreadLink implements Link {
  private final int self;
  private final Group to;
  private final GroupLimits limits;
  private final Bodies bodies = new Bodies();
  private final Credits credits;

  ThreadLink(int self, Group to, GroupLimits limits) {
    this.self = self;
    this.to = to;
    this.limits = limits;
    this.credits = new Credits(limits.window());
  }

  @Override
  public void send(int kind, MemorySegment... parts) {
    int bytes = Group.bytes(limits, parts);
    credits.take();
    MemorySegment piece = bodies.take(bytes);
    long at = 0;
    for (MemorySegment part : parts) {
      MemorySegment.copy(part, 0, piece, at, part.byteSize());
      at += part.byteSize();
    }
    to.arrived(
        new Message(
            self, kind, piece.asSlice(0, bytes), () -> credits.give(1), () -> bodies.give(piece)));
  }

  @Override
  public void end(LorikeetException reason, Optional<String> told) {
    credits.end(reason);
    to.left(self, told);
  }
}
