package dev.lorikeet.cluster;

import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/** Makes a group of the connections of a member, and tends it while it lives. */
final class Mesh {
  private final Group group;
  private final GroupLimits limits;
  private final List<SocketLink> links = new ArrayList<>();

  Mesh(int self, List<String> names, GroupLimits limits) {
    this.group = new Group(self, names);
    this.limits = limits;
  }

  void add(int member, SocketChannel channel) {
    SocketLink link = new SocketLink(group, member, channel, limits);
    links.add(link);
    group.add(member, link);
  }

  /** Returns the group, whose links all read from now on. */
  Group start() {
    links.forEach(SocketLink::start);
    Thread.ofPlatform()
        .daemon()
        .name("lorikeet-group-" + group.name(group.self()))
        .start(this::tend);
    return group;
  }

  private void tend() {
    while (!group.isComplete()) {
      LockSupport.parkNanos(limits.heartbeat().toNanos() / 2);
      group.tend();
    }
  }
}
