package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/** Joins a group that a {@link Coordinator} gathers. */
public final class Member {
  private static final int GREETING_MILLIS = 5000;
  private static final long BETWEEN_TRIES_NANOS = 100_000_000;
  private static final int MOST_MEMBERS = 1 << 12;

  private Member() {}

  /**
   * Joins a group, and returns it once all its members are there.
   *
   * @param coordinator where it listens
   * @param secret what members have to know
   * @param name of this member, up to 100 characters, for messages
   * @param timeout how long to try, and then to wait for the others
   * @throws LorikeetException with code {@code MEMBER_LOST} if that was not possible
   */
  public static Group join(
      InetSocketAddress coordinator, Secret secret, String name, Duration timeout) {
    long end = System.nanoTime() + timeout.toNanos();
    List<SocketChannel> open = new ArrayList<>();
    try {
      SocketChannel channel = connect(coordinator, end);
      open.add(channel);
      InetSocketAddress own = (InetSocketAddress) channel.getLocalAddress();
      try (ServerSocketChannel server =
          Coordinator.open(new InetSocketAddress(own.getAddress(), 0))) {
        Greeting greeting = Greeting.join(channel, secret, GREETING_MILLIS);
        int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
        greeting.say(
            new Packer().put(name.substring(0, Math.min(name.length(), 100))).put(port).bytes());
        greeting.timeout(millisTo(end));
        Roster roster = Roster.read(greeting.hear());
        Mesh mesh = new Mesh(roster.self(), roster.names(), roster.limits());
        mesh.add(0, channel);
        for (int other = 1; other < roster.self(); other++) {
          SocketChannel to = connect(roster.addresses().get(other - 1), end);
          open.add(to);
          Greeting met = Greeting.join(to, secret, GREETING_MILLIS);
          met.say(new Packer().put(roster.self()).bytes());
          mesh.add(other, to);
        }
        accept(server, secret, roster, mesh, open, end);
        return mesh.start();
      }
    } catch (IOException e) {
      open.forEach(Member::close);
      throw new LorikeetException(
          Code.MEMBER_LOST, "joining " + Greeting.text(coordinator) + ": " + e.getMessage(), e);
    } catch (RuntimeException e) {
      open.forEach(Member::close);
      throw e;
    }
  }

  /** Takes the connections of all members with higher numbers. */
  private static void accept(
      ServerSocketChannel server,
      Secret secret,
      Roster roster,
      Mesh mesh,
      List<SocketChannel> open,
      long end)
      throws IOException {
    Set<Integer> missing = new HashSet<>();
    for (int other = roster.self() + 1; other < roster.names().size(); other++) {
      missing.add(other);
    }
    while (!missing.isEmpty()) {
      server.socket().setSoTimeout(millisTo(end));
      SocketChannel channel = server.socket().accept().getChannel();
      open.add(channel);
      try {
        Greeting greeting = Greeting.accept(channel, secret, GREETING_MILLIS);
        int other = greeting.hear().getInt();
        if (missing.remove(other)) {
          mesh.add(other, channel);
          continue;
        }
      } catch (LorikeetException e) {
        // not a member; those that are still come
      }
      channel.close();
    }
  }

  private static int millisTo(long end) {
    return Math.clamp((end - System.nanoTime()) / 1_000_000, 1, Integer.MAX_VALUE);
  }

  private static SocketChannel connect(InetSocketAddress to, long end) throws IOException {
    while (true) {
      SocketChannel channel = SocketChannel.open();
      try {
        channel.socket().connect(to, millisTo(end));
        return channel;
      } catch (ConnectException e) {
        channel.close();
        if (System.nanoTime() >= end) {
          throw new IOException("nobody listens at " + Greeting.text(to), e);
        }
        LockSupport.parkNanos(BETWEEN_TRIES_NANOS);
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    }
  }

  private static void close(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      return; // there is nothing more to end
    }
  }

  /** Who the members are, as the coordinator tells. */
  private record Roster(
      int self, List<String> names, List<InetSocketAddress> addresses, GroupLimits limits) {
    static Roster read(Unpacker from) {
      int self = from.getInt();
      int size = from.getInt();
      if (size < 2 || size > MOST_MEMBERS || self < 1 || self >= size) {
        throw new LorikeetException(
            Code.MEMBER_LOST,
            "group: expected a number of 1 to one below 2 to "
                + MOST_MEMBERS
                + ", found "
                + self
                + " and "
                + size);
      }
      GroupLimits limits =
          new GroupLimits(
              from.getInt(),
              from.getInt(),
              Duration.ofNanos(from.getLong()),
              Duration.ofNanos(from.getLong()));
      List<String> names = new ArrayList<>(List.of(from.getText()));
      List<InetSocketAddress> addresses = new ArrayList<>();
      for (int other = 1; other < size; other++) {
        names.add(from.getText());
        addresses.add(new InetSocketAddress(from.getText(), from.getInt()));
      }
      return new Roster(self, names, addresses, limits);
    }
  }
}
