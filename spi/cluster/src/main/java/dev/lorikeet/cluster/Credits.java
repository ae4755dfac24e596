package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import java.util.Optional;

/** How many more messages may be sent before the other side takes one. */
final class Credits {
  private int left;
  private Optional<LorikeetException> end = Optional.empty();

  Credits(int window) {
    this.left = window;
  }

  /** Takes one, and waits for it; throws the end of the group. */
  synchronized void take() {
    while (left == 0 && end.isEmpty()) {
      Inbox.await(this, "waiting until a member takes its messages");
    }
    Inbox.throwEnd(end);
    left--;
  }

  synchronized void give(int count) {
    left += count;
    notifyAll();
  }

  synchronized void end(LorikeetException reason) {
    end = Optional.of(reason);
    notifyAll();
  }
}
