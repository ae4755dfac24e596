package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Listens for members, and makes a group of them: itself is member 0, the others are numbered in
 * the order in which they join. All members get a connection to each other.
 *
 * <pre>{@code
 * try (Coordinator coordinator = Coordinator.listen(Coordinator.LOCAL, secret)) {
 *   startProcess("--join", coordinator.address(), ...);
 *   Group group = coordinator.gather("coordinator", 2, GroupLimits.DEFAULT, Duration.ofSeconds(30));
 * }
 * }</pre>
 */
public final class Coordinator implements AutoCloseable {
  /** This machine alone, any free port. */
  public static final InetSocketAddress LOCAL =
      new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);

  private static final int GREETING_MILLIS = 2000;

  private final ServerSocketChannel server;
  private final Secret secret;
  private final InetSocketAddress address;

  private Coordinator(ServerSocketChannel server, Secret secret) throws IOException {
    this.server = server;
    this.secret = secret;
    this.address = (InetSocketAddress) server.getLocalAddress();
  }

  /**
   * Begins to listen.
   *
   * @param bind where: {@link #LOCAL} unless members are on other machines, and the network to them
   *     is trusted
   * @param secret what members have to know
   * @throws LorikeetException with code {@code INVALID_CONFIG} if it is not possible to listen
   *     there
   */
  public static Coordinator listen(InetSocketAddress bind, Secret secret) {
    try {
      return new Coordinator(open(bind), secret);
    } catch (IOException e) {
      throw new LorikeetException(
          Code.INVALID_CONFIG, "listening at " + Greeting.text(bind) + ": " + e.getMessage(), e);
    }
  }

  static ServerSocketChannel open(InetSocketAddress bind) throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    try {
      return server.bind(bind);
    } catch (IOException | RuntimeException e) {
      server.close();
      throw e;
    }
  }

  /** Returns where it listens, with the port that was free. */
  public InetSocketAddress address() {
    return address;
  }

  /** A member that has joined. */
  private record Joined(Greeting greeting, SocketChannel channel, String name, int port) {}

  /**
   * Waits for members, and returns the group as the coordinator sees it.
   *
   * @param name of the coordinator itself
   * @param others how many members are to join, at least 1
   * @param limits of the group
   * @param timeout how long to wait for all of them
   * @throws LorikeetException with code {@code MEMBER_LOST} if too few have joined by then; those
   *     that have are sent away
   */
  public Group gather(String name, int others, GroupLimits limits, Duration timeout) {
    long end = System.nanoTime() + timeout.toNanos();
    List<Joined> joined = new ArrayList<>();
    try {
      String refused = "";
      while (joined.size() < others) {
        long left = (end - System.nanoTime()) / 1_000_000;
        if (left <= 0) {
          throw tooFew(others, joined, timeout, refused);
        }
        server.socket().setSoTimeout((int) Math.min(left, Integer.MAX_VALUE));
        SocketChannel channel;
        try {
          channel = server.socket().accept().getChannel();
        } catch (SocketTimeoutException e) {
          continue;
        }
        try {
          Greeting greeting = Greeting.accept(channel, secret, GREETING_MILLIS);
          Unpacker hello = greeting.hear();
          joined.add(new Joined(greeting, channel, hello.getText(), hello.getInt()));
        } catch (IOException | LorikeetException e) {
          channel.close();
          refused = "; refused " + e.getMessage();
        }
      }
      return group(name, joined, limits);
    } catch (IOException e) {
      joined.forEach(Coordinator::close);
      throw new LorikeetException(
          Code.MEMBER_LOST, Greeting.text(address) + ": gathering members: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      joined.forEach(Coordinator::close);
      throw e;
    }
  }

  private LorikeetException tooFew(
      int others, List<Joined> joined, Duration timeout, String refused) {
    return new LorikeetException(
        Code.MEMBER_LOST,
        Greeting.text(address)
            + ": expected "
            + others
            + " members to join within "
            + timeout.toMillis() / 1e3
            + " s, found "
            + joined.stream().map(Joined::name).toList()
            + refused);
  }

  private static Group group(String name, List<Joined> joined, GroupLimits limits)
      throws IOException {
    List<String> names = new ArrayList<>(List.of(name));
    joined.forEach(member -> names.add(member.name()));
    Mesh mesh = new Mesh(0, names, limits);
    for (int member = 1; member < names.size(); member++) {
      Joined to = joined.get(member - 1);
      to.greeting().say(roster(member, names, joined, limits));
      mesh.add(member, to.channel());
    }
    return mesh.start();
  }

  private static byte[] roster(
      int member, List<String> names, List<Joined> joined, GroupLimits limits) throws IOException {
    Packer roster = new Packer().put(member).put(names.size());
    roster.put(limits.messageBytes()).put(limits.window());
    roster.put(limits.heartbeat().toNanos()).put(limits.silence().toNanos());
    roster.put(names.getFirst());
    for (Joined other : joined) {
      InetSocketAddress seen = (InetSocketAddress) other.channel().getRemoteAddress();
      roster.put(other.name()).put(seen.getAddress().getHostAddress()).put(other.port());
    }
    return roster.bytes();
  }

  private static void close(Joined member) {
    try {
      member.channel().close();
    } catch (IOException e) {
      return; // there is nothing more to end
    }
  }

  /** Stops listening; a group that was gathered stays. Idempotent. */
  @Override
  public void close() {
    try {
      server.close();
    } catch (IOException e) {
      return; // it does not listen any more, which is all that was wanted
    }
  }
}
