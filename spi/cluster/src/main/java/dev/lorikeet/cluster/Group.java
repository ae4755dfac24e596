package dev.lorikeet.cluster;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Threads or processes that work together, as one of them sees it. Members are numbered from 0; one
 * may send messages to any other, and has one inbox for those of all. Messages from one member come
 * in the order in which it sent them; those of different members in any order.
 *
 * <p>A group lives as long as all of its members: when one leaves, all others are told by their
 * next call, once their inbox is empty, with code {@code CLOSED}; when one fails, ends without a
 * word or is silent for too long, with code {@code MEMBER_LOST} and its name.
 *
 * <p>Threading: any number of threads may send; one at a time takes messages.
 *
 * @see Coordinator
 * @see Member
 */
public final class Group implements AutoCloseable {
  private final int self;
  private final List<String> names;
  private final Map<Integer, Link> links = new HashMap<>();
  private final Set<Integer> speaking = ConcurrentHashMap.newKeySet();
  private final Inbox inbox = new Inbox();

  Group(int self, List<String> names) {
    this.self = self;
    this.names = List.copyOf(names);
  }

  /** Returns a group within a process, as each of its members sees it. */
  public static List<Group> ofThreads(List<String> names, GroupLimits limits) {
    List<Group> groups = new ArrayList<>();
    for (int member = 0; member < names.size(); member++) {
      groups.add(new Group(member, names));
    }
    for (Group from : groups) {
      for (Group to : groups) {
        if (from != to) {
          from.add(to.self, new ThreadLink(from.self, to, limits));
        }
      }
    }
    return groups;
  }

  /** Adds a link to a member; all are there before the group is used. */
  void add(int member, Link link) {
    links.put(member, link);
    speaking.add(member);
  }

  /** Returns the number of this member. */
  public int self() {
    return self;
  }

  /** Returns how many members there are. */
  public int size() {
    return names.size();
  }

  /** Returns the name of a member. */
  public String name(int member) {
    return names.get(member);
  }

  /**
   * Sends a message: its parts, one behind the other. Returns when the parts may be used for
   * something else; waits while the receiver has a window of messages that it has not taken.
   *
   * @param member another member
   * @param kind at least 0
   * @throws IllegalArgumentException if the message is larger than the limits of the group
   * @throws LorikeetException if the group has ended
   */
  public void send(int member, int kind, MemorySegment... parts) {
    if (kind < 0) {
      throw new IllegalArgumentException("message: expected a kind of at least 0, found " + kind);
    }
    Link link = links.get(Objects.checkIndex(member, names.size()));
    if (link == null) {
      throw new IllegalArgumentException("message: expected another member, found " + member);
    }
    inbox.checkOpen();
    link.send(kind, parts);
  }

  /** Returns the bytes of a message. */
  static int bytes(GroupLimits limits, MemorySegment... parts) {
    long bytes = 0;
    for (MemorySegment part : parts) {
      bytes += part.byteSize();
    }
    if (bytes > limits.messageBytes()) {
      throw new IllegalArgumentException(
          "message: expected at most " + limits.messageBytes() + " bytes, found " + bytes);
    }
    return (int) bytes;
  }

  /**
   * Waits for a message.
   *
   * @throws LorikeetException if the group has ended, and no message is left
   */
  public Message receive() {
    return inbox.take();
  }

  /**
   * Returns a message if there is one.
   *
   * @throws LorikeetException if the group has ended, and no message is left
   */
  public Optional<Message> poll() {
    return inbox.poll();
  }

  void arrived(Message message) {
    inbox.put(message);
  }

  /** Notes that a member has left, or why it did not stay. */
  void left(int member, Optional<String> reason) {
    String name = "member '" + names.get(member) + "'";
    end(
        reason.isPresent()
            ? new LorikeetException(Code.MEMBER_LOST, name + ": " + reason.get())
            : new LorikeetException(Code.CLOSED, name + " has left the group"),
        reason.map(why -> name + ": " + why));
    if (reason.isPresent()) {
      inbox.complete();
    }
    silent(member);
  }

  /** Notes that nothing more comes from a member. */
  void silent(int member) {
    speaking.remove(member);
    if (speaking.isEmpty()) {
      inbox.complete();
    }
  }

  private void end(LorikeetException reason, Optional<String> told) {
    if (inbox.end(reason)) {
      links.values().forEach(link -> link.end(reason, told));
    }
  }

  /** Does what links need from time to time. */
  void tend() {
    links.values().forEach(Link::tend);
  }

  boolean isComplete() {
    return inbox.isComplete();
  }

  /**
   * Leaves the group because of a failure, of which the others are told: their calls fail with code
   * {@code MEMBER_LOST} and this reason.
   */
  public void fail(String reason) {
    end(
        new LorikeetException(Code.CLOSED, "this member has left the group: " + reason),
        Optional.of(reason));
    inbox.complete();
    links.values().forEach(Link::awaitEnd);
  }

  /** Leaves the group; what was sent before still arrives. Idempotent. */
  @Override
  public void close() {
    end(new LorikeetException(Code.CLOSED, "this member has left the group"), Optional.empty());
    links.values().forEach(Link::awaitEnd);
  }
}
