package dev.lorikeet.bench.serve;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A control group whose processes together get a share of the processors' time, as a container
 * runtime sets it: cgroup v2 ({@code cpu.max}), or v1 ({@code cpu.cfs_quota_us}) where that has the
 * processors.
 */
final class Quota implements AutoCloseable {
  private static final Path ROOT = Path.of("/sys/fs/cgroup");
  private static final int PERIOD_MICROS = 100_000;

  private final Path group;

  private Quota(Path group) {
    this.group = group;
  }

  /** Why there is no such group here. */
  static final class Impossible extends Exception {
    private static final long serialVersionUID = 1;

    Impossible(String reason) {
      super(reason);
    }
  }

  /** Makes a group of {@code percent} of one processor. */
  static Quota of(int percent) throws Impossible {
    return of(ROOT, percent);
  }

  /**
   * Makes a group below a folder.
   *
   * @param root where control groups are mounted
   */
  static Quota of(Path root, int percent) throws Impossible {
    boolean second = Files.exists(root.resolve("cgroup.controllers"));
    Path parent = second ? root : root.resolve("cpu");
    Path group = parent.resolve("lorikeet-bench-" + ProcessHandle.current().pid());
    try {
      if (second) {
        passOn(root);
      } else if (!Files.exists(parent.resolve("cpu.cfs_quota_us"))) {
        throw new Impossible("no control group has the processors at " + root);
      }
      Files.createDirectories(group);
      long micros = (long) percent * PERIOD_MICROS / 100;
      if (second) {
        Files.writeString(group.resolve("cpu.max"), micros + " " + PERIOD_MICROS);
      } else {
        Files.writeString(group.resolve("cpu.cfs_period_us"), Integer.toString(PERIOD_MICROS));
        Files.writeString(group.resolve("cpu.cfs_quota_us"), Long.toString(micros));
      }
      return new Quota(group);
    } catch (IOException e) {
      throw new Impossible("no control group for processors can be made at " + group + ": " + e);
    }
  }

  /** Lets groups below have a share of the processors. */
  private static void passOn(Path root) throws IOException, Impossible {
    String controllers = Files.readString(root.resolve("cgroup.controllers")).strip();
    if (!List.of(controllers.split("\\s+")).contains("cpu")) {
      throw new Impossible(
          "expected the controller cpu among those of " + root + ", found '" + controllers + "'");
    }
    Path passedOn = root.resolve("cgroup.subtree_control");
    if (!List.of(Files.readString(passedOn).strip().split("\\s+")).contains("cpu")) {
      Files.writeString(passedOn, "+cpu");
    }
  }

  /** Returns the words to put before a command, so that it runs in the group from its start. */
  List<String> prefix() {
    return List.of(
        "sh", "-c", "echo $$ > " + group.resolve("cgroup.procs") + " && exec \"$@\"", "quota");
  }

  @Override
  public void close() {
    try {
      Files.deleteIfExists(group);
    } catch (IOException e) {
      return; // an empty group that stays harms nobody
    }
  }
}
