package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/**
 * The messages that wait for a member, in the order in which they came, and behind them the end of
 * the group.
 */
final class Inbox {
  private final Deque<Message> messages = new ArrayDeque<>();
  private Optional<LorikeetException> end = Optional.empty();
  private boolean complete;

  synchronized void put(Message message) {
    if (!complete) {
      messages.add(message);
      notifyAll();
    }
  }

  /** Ends the group, for one reason: the first. What is still on its way may come. */
  synchronized boolean end(LorikeetException reason) {
    if (end.isPresent()) {
      return false;
    }
    end = Optional.of(reason);
    return true;
  }

  /** Notes that nothing comes any more, once the group has ended. */
  synchronized void complete() {
    complete = true;
    notifyAll();
  }

  /** Waits for a message; throws the end if there are none any more. */
  Message take() {
    Message message;
    synchronized (this) {
      while (messages.isEmpty()) {
        throwComplete();
        await(this, "waiting for a message");
      }
      message = messages.remove();
    }
    message.taken();
    return message;
  }

  /** Returns a message if there is one; throws the end if there are none any more. */
  Optional<Message> poll() {
    Message message;
    synchronized (this) {
      if (messages.isEmpty()) {
        throwComplete();
        return Optional.empty();
      }
      message = messages.remove();
    }
    message.taken();
    return Optional.of(message);
  }

  synchronized boolean isComplete() {
    return complete;
  }

  private void throwComplete() {
    if (complete) {
      throwEnd(end);
    }
  }

  synchronized void checkOpen() {
    throwEnd(end);
  }

  static void throwEnd(Optional<LorikeetException> end) {
    if (end.isPresent()) {
      LorikeetException reason = end.get();
      throw new LorikeetException(reason.code(), String.valueOf(reason.getMessage()), reason);
    }
  }

  /** Waits on a monitor that the caller holds. */
  @SuppressWarnings("WaitNotInLoop") // callers loop
  static void await(Object monitor, String doing) {
    try {
      monitor.wait();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LorikeetException(Code.CANCELLED, "group: interrupted while " + doing, e);
    }
  }
}
