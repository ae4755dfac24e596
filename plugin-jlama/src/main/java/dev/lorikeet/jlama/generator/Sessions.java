package dev.lorikeet.jlama.generator;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The contexts of all sessions, as token ids: four bytes a token, where Jlama keeps the keys and
 * values. Bounded: beyond a number of tokens in all, the sessions that were used least recently are
 * forgotten, but none that is in use. Thread-safe; one call at a time has a session.
 */
final class Sessions {
  /** What a session counts beside its tokens, so that empty ones are bounded too. */
  private static final int OVERHEAD = 32;

  private final long limit;
  private final Map<UUID, Session> byId = new LinkedHashMap<>(16, 0.75f, true);
  private long held;

  /**
   * Creates an empty store.
   *
   * @param limit how many tokens all sessions together may keep
   */
  Sessions(long limit) {
    this.limit = limit;
  }

  private static final class Session {
    private final ReentrantLock lock = new ReentrantLock();
    private int[] tokens = {};
    private int claims;

    int weight() {
      return tokens.length + OVERHEAD;
    }
  }

  /** The right to a session until it is closed. */
  final class Claim implements AutoCloseable {
    private final Session session;

    private Claim(Session session) {
      this.session = session;
    }

    /** Returns what the session has read and written so far; not to be changed. */
    int[] context() {
      return session.tokens;
    }

    /** Replaces the session's context. */
    void keep(int[] tokens) {
      synchronized (byId) {
        held += tokens.length - session.tokens.length;
        session.tokens = tokens;
      }
    }

    @Override
    public void close() {
      session.lock.unlock();
      synchronized (byId) {
        session.claims--;
        forgetEldest();
      }
    }
  }

  /**
   * Waits for a session to be free, a new and empty one if none has this id.
   *
   * @throws IllegalStateException if this thread has it already
   * @throws LorikeetException with {@code CANCELLED} if this thread is interrupted
   */
  Claim claim(UUID id) {
    Session session;
    synchronized (byId) {
      session = byId.get(id);
      if (session == null) {
        session = new Session();
        byId.put(id, session);
        held += session.weight();
      }
      session.claims++;
    }
    try {
      if (session.lock.isHeldByCurrentThread()) {
        throw new IllegalStateException(
            "session " + id + ": expected it to be free, found a call of this thread in it");
      }
      session.lock.lockInterruptibly();
      return new Claim(session);
    } catch (InterruptedException e) {
      unclaim(session);
      Thread.currentThread().interrupt();
      throw new LorikeetException(
          Code.CANCELLED, "interrupted while another call had session " + id, e);
    } catch (IllegalStateException e) {
      unclaim(session);
      throw e;
    }
  }

  private void unclaim(Session session) {
    synchronized (byId) {
      session.claims--;
    }
  }

  private void forgetEldest() {
    Iterator<Session> eldest = byId.values().iterator();
    while (held > limit && eldest.hasNext()) {
      Session session = eldest.next();
      if (session.claims == 0) {
        eldest.remove();
        held -= session.weight();
      }
    }
  }

  /** Returns how many sessions are known. */
  int count() {
    synchronized (byId) {
      return byId.size();
    }
  }

  /** Forgets all sessions that no call has. */
  void clear() {
    synchronized (byId) {
      byId.values()
          .removeIf(
              session -> {
                if (session.claims > 0) {
                  return false;
                }
                held -= session.weight();
                return true;
              });
    }
  }
}
