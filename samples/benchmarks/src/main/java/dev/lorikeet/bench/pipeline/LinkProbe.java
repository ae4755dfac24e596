package dev.lorikeet.bench.pipeline;

import dev.lorikeet.cluster.Coordinator;
import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.GroupLimits;
import dev.lorikeet.cluster.Member;
import dev.lorikeet.cluster.Message;
import dev.lorikeet.cluster.Secret;
import dev.lorikeet.training.pipeline.PipelineSimulator.LinkTimes;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;

/** Measures messages through sockets of this machine: there and back, halved, medians. */
final class LinkProbe {
  private static final int ROUNDS = 500;
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  private LinkProbe() {}

  /** Returns how long small messages take, and how much longer such with so many bytes. */
  static LinkTimes measure(int bytes) {
    Secret secret = Secret.of(Secret.newText(), "a new secret");
    GroupLimits limits = GroupLimits.DEFAULT.withMessageBytes(bytes + 1);
    try (Coordinator coordinator = Coordinator.listen(Coordinator.LOCAL, secret);
        Arena arena = Arena.ofShared()) {
      CompletableFuture<Void> echo =
          CompletableFuture.runAsync(
              () -> {
                try (Group group = Member.join(coordinator.address(), secret, "echo", TIMEOUT)) {
                  for (int i = 0; i < 2 * ROUNDS; i++) {
                    try (Message message = group.receive()) {
                      group.send(0, 0, message.body());
                    }
                  }
                }
              },
              task -> Thread.ofPlatform().daemon().start(task));
      try (Group group = coordinator.gather("probe", 1, limits, TIMEOUT)) {
        double small = seconds(group, arena.allocate(1));
        double large = seconds(group, arena.allocate(bytes));
        echo.join();
        return new LinkTimes(small, Math.max(0, large - small));
      }
    }
  }

  private static double seconds(Group group, MemorySegment body) {
    long[] times = new long[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
      long begin = System.nanoTime();
      group.send(1, 0, body);
      group.receive().close();
      times[i] = System.nanoTime() - begin;
    }
    Arrays.sort(times);
    return times[ROUNDS / 2] / 2e9;
  }
}
