package dev.lorikeet.cluster;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Groups of threads and of sockets behave alike. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class GroupTest {
  private static final Duration WAIT = Duration.ofSeconds(20);
  private static final Secret SECRET = Secret.of(Secret.newText(), "test");
  private static final GroupLimits LIMITS =
      new GroupLimits(1 << 20, 4, Duration.ofMillis(50), Duration.ofSeconds(20));

  private final long seed = System.nanoTime();
  private final SplittableRandom random = new SplittableRandom(seed);
  private List<Group> groups = List.of();

  enum Links {
    THREADS,
    SOCKETS;

    List<Group> open(int members) {
      List<String> names = new ArrayList<>();
      for (int i = 0; i < members; i++) {
        names.add("m" + i);
      }
      if (this == THREADS) {
        return Group.ofThreads(names, LIMITS);
      }
      try (Coordinator coordinator = Coordinator.listen(Coordinator.LOCAL, SECRET)) {
        List<CompletableFuture<Group>> joining = new ArrayList<>();
        for (String name : names.subList(1, members)) {
          joining.add(
              CompletableFuture.supplyAsync(
                  () -> Member.join(coordinator.address(), SECRET, name, WAIT),
                  task -> Thread.ofPlatform().daemon().start(task)));
        }
        List<Group> groups = new ArrayList<>();
        groups.add(coordinator.gather("m0", members - 1, LIMITS, WAIT));
        joining.forEach(future -> groups.add(future.join()));
        groups.sort((a, b) -> Integer.compare(a.self(), b.self()));
        return groups;
      }
    }
  }

  @AfterEach
  void close() {
    groups.forEach(Group::close);
  }

  private byte[] bytes(int count) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) random.nextInt();
    }
    return bytes;
  }

  @ParameterizedTest
  @EnumSource
  void everyoneReachesEveryoneInOrder(Links links) {
    groups = links.open(4);
    for (Group from : groups) {
      assertEquals(4, from.size());
      for (Group to : groups) {
        if (from != to) {
          for (int round = 0; round < 3; round++) {
            byte[] head = bytes(random.nextInt(100));
            byte[] body = bytes(random.nextInt(100_000));
            from.send(to.self(), round, MemorySegment.ofArray(head), MemorySegment.ofArray(body));
            try (Message message = to.receive()) {
              assertEquals(from.self(), message.from());
              assertEquals(from.name(from.self()), to.name(message.from()));
              assertEquals(round, message.kind());
              byte[] both = new byte[head.length + body.length];
              System.arraycopy(head, 0, both, 0, head.length);
              System.arraycopy(body, 0, both, head.length, body.length);
              assertArrayEquals(
                  both, message.body().toArray(ValueLayout.JAVA_BYTE), "seed " + seed);
              assertEquals(0, message.body().address() % 64);
            }
          }
        }
      }
    }
    assertTrue(groups.getFirst().poll().isEmpty());
  }

  @ParameterizedTest
  @EnumSource
  void whoSendsTooMuchWaitsUntilSomeIsTaken(Links links) {
    groups = links.open(2);
    List<Integer> sent = new ArrayList<>();
    CompletableFuture<Void> sender =
        CompletableFuture.runAsync(
            () -> {
              for (int i = 0; i < 100; i++) {
                groups.get(1).send(0, i, MemorySegment.ofArray(new byte[1000]));
                synchronized (sent) {
                  sent.add(i);
                }
              }
            },
            task -> Thread.ofPlatform().daemon().start(task));
    for (int i = 0; i < 100; i++) {
      try (Message message = groups.get(0).receive()) {
        assertEquals(i, message.kind());
      }
      synchronized (sent) {
        assertTrue(sent.size() <= i + 1 + LIMITS.window(), () -> sent.size() + " sent");
      }
    }
    sender.join();
  }

  @ParameterizedTest
  @EnumSource
  void whatWasSentBeforeLeavingStillArrives(Links links) {
    groups = links.open(3);
    byte[] last = bytes(1 << 20);
    groups.get(1).send(0, 7, MemorySegment.ofArray(last));
    groups.get(1).close();
    try (Message message = groups.get(0).receive()) {
      assertArrayEquals(last, message.body().toArray(ValueLayout.JAVA_BYTE), "seed " + seed);
    }
    for (int other : new int[] {0, 2}) {
      LorikeetException e =
          assertThrows(LorikeetException.class, () -> groups.get(other).receive());
      assertEquals(Code.CLOSED, e.code(), e::getMessage);
    }
    assertThrows(LorikeetException.class, () -> groups.get(0).send(2, 0));
    assertThrows(LorikeetException.class, () -> groups.get(1).receive());
  }

  @ParameterizedTest
  @EnumSource
  void aFailureIsToldToAllWithNameAndReason(Links links) {
    groups = links.open(3);
    groups.get(2).fail("its disk is full");
    for (int other : new int[] {0, 1}) {
      LorikeetException e =
          assertThrows(LorikeetException.class, () -> groups.get(other).receive());
      assertEquals(Code.MEMBER_LOST, e.code());
      String name = groups.get(0).name(2);
      assertTrue(
          e.getMessage().contains(name) && e.getMessage().contains("its disk is full"),
          e::getMessage);
    }
  }

  @ParameterizedTest
  @EnumSource
  void whoWaitsToSendIsFreedByTheEnd(Links links) {
    groups = links.open(2);
    CompletableFuture<LorikeetException> sender =
        CompletableFuture.supplyAsync(
            () ->
                assertThrows(
                    LorikeetException.class,
                    () -> {
                      for (int i = 0; i < 3 * LIMITS.window(); i++) {
                        groups.get(1).send(0, i);
                      }
                    }),
            task -> Thread.ofPlatform().daemon().start(task));
    try (Message first = groups.get(0).receive()) {
      assertEquals(0, first.kind());
    }
    groups.get(0).fail("enough");
    assertEquals(Code.MEMBER_LOST, sender.join().code());
  }

  @ParameterizedTest
  @EnumSource
  void wrongMessagesAreRefused(Links links) {
    groups = links.open(2);
    Group group = groups.get(0);
    MemorySegment large = MemorySegment.ofArray(new byte[LIMITS.messageBytes() + 1]);
    assertThrows(IllegalArgumentException.class, () -> group.send(1, 0, large));
    assertThrows(IllegalArgumentException.class, () -> group.send(1, -1));
    assertThrows(IllegalArgumentException.class, () -> group.send(0, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> group.send(2, 0));
    assertFalse(groups.get(1).poll().isPresent());
  }
}
