package dev.lorikeet.cluster;

import java.time.Duration;

/**
 * What members of a group may expect of one another; the same for all of them.
 *
 * @param messageBytes the largest body of a message
 * @param window how many messages one member may have under way to another that has not taken them
 *     from its inbox yet; who sends more waits
 * @param heartbeat after how long a member that has nothing to say says that it is alive; between
 *     processes
 * @param silence after how long without a word a member counts as lost; between processes
 */
public record GroupLimits(int messageBytes, int window, Duration heartbeat, Duration silence) {
  /** A mebibyte, 64 messages, a heartbeat each second, lost after five. */
  public static final GroupLimits DEFAULT =
      new GroupLimits(1 << 20, 64, Duration.ofSeconds(1), Duration.ofSeconds(5));

  public GroupLimits {
    if (messageBytes < 1 || window < 2) {
      throw new IllegalArgumentException(
          "group: expected messages of at least 1 byte and a window of at least 2, found "
              + messageBytes
              + " and "
              + window);
    }
    if (heartbeat.isNegative() || heartbeat.isZero() || silence.compareTo(heartbeat) <= 0) {
      throw new IllegalArgumentException(
          "group: expected a heartbeat above 0 and a longer silence, found "
              + heartbeat
              + " and "
              + silence);
    }
  }

  /** Returns the same with another largest body. */
  public GroupLimits withMessageBytes(int value) {
    return new GroupLimits(value, window, heartbeat, silence);
  }

  /** Returns the same with another window. */
  public GroupLimits withWindow(int value) {
    return new GroupLimits(messageBytes, value, heartbeat, silence);
  }

  /** Returns the same with other times. */
  public GroupLimits withTimes(Duration newHeartbeat, Duration newSilence) {
    return new GroupLimits(messageBytes, window, newHeartbeat, newSilence);
  }
}
