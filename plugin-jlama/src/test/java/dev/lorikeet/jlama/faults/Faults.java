package dev.lorikeet.jlama.faults;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * Throws at random moments of the calls that third parties' code gets, while it is armed. Calls
 * that take something throw before they do, calls that give something back after, so that nothing
 * is ever lost by a third party itself.
 */
final class Faults {
  /** Whose code throws. */
  enum Party {
    /** An adapter store and its leases. */
    STORE,
    /** A page pool. */
    POOL,
    /** A LoRA executor. */
    EXECUTOR,
    /** Routers. */
    ROUTER,
    /** Observers of requests. */
    OBSERVER,
    /** Subscribers of streams. */
    SUBSCRIBER
  }

  private static final String SAID = "on purpose";

  private static final List<Function<String, Throwable>> KINDS =
      List.of(
          OutOfMemoryError::new,
          StackOverflowError::new,
          NoClassDefFoundError::new,
          AssertionError::new,
          IllegalStateException::new,
          IllegalArgumentException::new,
          message -> new UncheckedIOException(new IOException(message)),
          message -> new LorikeetException(Code.IO_FAILED, message),
          IOException::new); // which other languages throw without declaring it

  private final Random random;
  private final Map<String, Integer> counts = new TreeMap<>();
  private final Set<Object> open = Collections.newSetFromMap(new IdentityHashMap<>());
  private final List<String> leaks = new ArrayList<>();
  private Set<Party> armed = EnumSet.noneOf(Party.class);
  private int rarity = 1;

  Faults(Random random) {
    this.random = random;
  }

  /** Lets these parties throw in one of so many calls, on average. */
  synchronized void arm(Set<Party> parties, int oneOf) {
    armed = parties;
    rarity = oneOf;
  }

  synchronized void disarm() {
    armed = EnumSet.noneOf(Party.class);
  }

  /** Returns how often each party threw at each call. */
  synchronized Map<String, Integer> counts() {
    return new TreeMap<>(counts);
  }

  /** Notes what a plugin has opened. */
  synchronized <T> T opened(T resource) {
    open.add(resource);
    return resource;
  }

  /** Notes that it is closed, and how much of it is still in use, which should be nothing. */
  synchronized void closed(Object resource, int inUse, String what) {
    if (open.remove(resource) && inUse > 0) {
      leaks.add(inUse + " " + what);
    }
  }

  /** Returns what has not been closed, or was in use when it was; forgets it. */
  synchronized List<String> leaks() {
    List<String> found = new ArrayList<>(leaks);
    open.forEach(resource -> found.add("open: " + resource));
    leaks.clear();
    open.clear();
    return found;
  }

  /** Returns whether a failure tells of one that was thrown here. */
  static boolean isTold(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (String.valueOf(cause.getMessage()).contains(SAID)) {
        return true;
      }
    }
    return false;
  }

  /** A moment at which a party may throw. */
  void at(Party party, String call) {
    Throwable fault;
    synchronized (this) {
      if (!armed.contains(party) || random.nextInt(rarity) > 0) {
        return;
      }
      counts.merge(party + " " + call, 1, Integer::sum);
      fault = KINDS.get(random.nextInt(KINDS.size())).apply(SAID + " in " + call);
    }
    throw Faults.<RuntimeException>unchecked(fault);
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
  private static <E extends Throwable> E unchecked(Throwable fault) throws E {
    throw (E) fault;
  }
}
