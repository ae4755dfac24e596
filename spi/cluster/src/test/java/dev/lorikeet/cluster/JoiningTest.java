package dev.lorikeet.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Who may join, and how it is noticed that a process died or hangs. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class JoiningTest {
  private static final Duration WAIT = Duration.ofSeconds(20);
  private static final Secret SECRET = Secret.of(Secret.newText(), "test");
  private static final GroupLimits LIMITS =
      GroupLimits.DEFAULT.withTimes(Duration.ofMillis(50), Duration.ofMillis(500));

  @TempDir Path folder;

  private final Coordinator coordinator = Coordinator.listen(Coordinator.LOCAL, SECRET);

  @AfterEach
  void close() {
    coordinator.close();
  }

  private static <T> CompletableFuture<T> async(Supplier<T> action) {
    return CompletableFuture.supplyAsync(action, task -> Thread.ofPlatform().daemon().start(task));
  }

  private CompletableFuture<Group> gathering(GroupLimits limits) {
    return async(() -> coordinator.gather("first", 1, limits, WAIT));
  }

  /** Joins as a member does, up to where it would begin to read and to give signs of life. */
  private SocketChannel silentMember() throws IOException {
    SocketChannel channel = SocketChannel.open(coordinator.address());
    Greeting greeting = Greeting.join(channel, SECRET, 5000);
    greeting.say(new Packer().put("silent").put(1).bytes());
    greeting.hear();
    return channel;
  }

  private static LorikeetException endOf(Group group) {
    return assertThrows(LorikeetException.class, group::receive);
  }

  @Test
  void anotherSecretIsRefusedOnBothSides() {
    CompletableFuture<Group> group = gathering(LIMITS);
    Secret other = Secret.of(Secret.newText(), "test");
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () -> Member.join(coordinator.address(), other, "stranger", WAIT));
    assertEquals(Code.MEMBER_LOST, e.code());
    assertTrue(e.getMessage().contains("secret"), e::getMessage);
    try (Group member = Member.join(coordinator.address(), SECRET, "friend", WAIT);
        Group first = group.join()) {
      assertEquals("friend", first.name(1));
      assertEquals("first", member.name(0));
    }
  }

  @Test
  void aServerThatDoesNotKnowTheSecretIsRefused() {
    try (Coordinator wrong =
        Coordinator.listen(Coordinator.LOCAL, Secret.of(Secret.newText(), "test"))) {
      CompletableFuture<Group> group =
          async(() -> wrong.gather("wrong", 1, LIMITS, Duration.ofMillis(500)));
      assertThrows(
          LorikeetException.class,
          () -> Member.join(wrong.address(), SECRET, "member", Duration.ofSeconds(5)));
      assertThrows(Exception.class, group::join);
    }
  }

  @Test
  void whatIsNoMemberIsRefusedAndOthersStillJoin() throws IOException {
    long seed = System.nanoTime();
    SplittableRandom random = new SplittableRandom(seed);
    CompletableFuture<Group> group = gathering(LIMITS);
    for (int round = 0; round < 8; round++) {
      byte[] noise = new byte[random.nextInt(1, 300)];
      for (int i = 0; i < noise.length; i++) {
        noise[i] = (byte) random.nextInt();
      }
      try (Socket socket = new Socket()) {
        socket.connect(coordinator.address());
        try (OutputStream out = socket.getOutputStream()) {
          out.write(noise);
        } catch (IOException e) {
          assertTrue(socket.isConnected(), "seed " + seed); // it was sent away before it had done
        }
      }
    }
    try (Group member = Member.join(coordinator.address(), SECRET, "friend", WAIT);
        Group first = group.join()) {
      assertEquals(2, member.size(), "seed " + seed);
      assertEquals(2, first.size(), "seed " + seed);
    }
  }

  @Test
  void tooFewMembersAreNamed() {
    CompletableFuture<LorikeetException> failure =
        async(
            () ->
                assertThrows(
                    LorikeetException.class,
                    () -> coordinator.gather("first", 2, LIMITS, Duration.ofMillis(800))));
    LorikeetException member =
        assertThrows(
            LorikeetException.class,
            () -> Member.join(coordinator.address(), SECRET, "lonely", WAIT));
    assertEquals(Code.MEMBER_LOST, member.code());
    String told = failure.join().getMessage();
    assertTrue(told.contains("lonely") && told.contains("expected 2 members"), told);
    assertTrue(told.contains(Integer.toString(coordinator.address().getPort())), told);
  }

  @Test
  void nobodyListensThere() {
    InetSocketAddress address = coordinator.address();
    coordinator.close();
    LorikeetException e =
        assertThrows(
            LorikeetException.class,
            () -> Member.join(address, SECRET, "member", Duration.ofMillis(300)));
    assertTrue(
        e.getMessage().contains(address.getHostString() + ":" + address.getPort()), e::getMessage);
  }

  @Test
  void aMemberThatHangsIsNamed() throws IOException {
    CompletableFuture<Group> gathered = gathering(LIMITS);
    try (SocketChannel hung = silentMember();
        Group group = gathered.join()) {
      LorikeetException e = endOf(group);
      assertEquals(Code.MEMBER_LOST, e.code());
      assertTrue(e.getMessage().contains("'silent'"), e::getMessage);
      assertTrue(e.getMessage().contains("said nothing"), e::getMessage);
      assertTrue(hung.isOpen());
    }
  }

  @Test
  void aMemberThatDiesIsNamed() throws IOException {
    CompletableFuture<Group> gathered = gathering(LIMITS);
    SocketChannel dying = silentMember();
    try (Group group = gathered.join()) {
      dying.close();
      LorikeetException e = endOf(group);
      assertEquals(Code.MEMBER_LOST, e.code());
      assertTrue(e.getMessage().contains("'silent'"), e::getMessage);
    }
  }

  @Test
  void whoHasNothingToSayGivesSignsOfLife() throws IOException {
    CompletableFuture<Group> gathered =
        gathering(GroupLimits.DEFAULT.withTimes(Duration.ofMillis(20), WAIT));
    try (SocketChannel listening = silentMember();
        Group group = gathered.join()) {
      ByteBuffer frame = ByteBuffer.allocate(8);
      for (int sign = 0; sign < 3; sign++) {
        frame.clear();
        while (frame.hasRemaining()) {
          assertTrue(listening.read(frame) > 0, () -> endOf(group).toString());
        }
        assertEquals(0, frame.getInt(4), "a sign of life has no body");
      }
    }
  }

  @Test
  void shortAndMissingSecretsAreRefused() throws IOException {
    Path file = Files.writeString(folder.resolve("secret"), "  short \n");
    LorikeetException e = assertThrows(LorikeetException.class, () -> Secret.ofFile(file));
    assertTrue(e.getMessage().contains(file.toString()), e::getMessage);
    assertTrue(e.getMessage().contains("found 5"), e::getMessage);
    assertThrows(LorikeetException.class, () -> Secret.ofFile(folder.resolve("missing")));
  }
}
