package dev.lorikeet.training.pipeline;

import dev.lorikeet.cluster.Secret;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Function;

/**
 * Which processes a pipeline consists of. The last stage is in the coordinator's own.
 *
 * @param stages how many, at least 1
 * @param schedule in which order they compute
 * @param listen where the coordinator listens for the others
 * @param secret what they have to know
 * @param processes gives the program of a process that joins where the coordinator listens, of
 *     which one is started for each of the other stages, and ended with the pipeline; empty if they
 *     join from elsewhere
 * @param timeout how long to wait for them
 */
public record PipelineSetup(
    int stages,
    PipelineSchedule schedule,
    InetSocketAddress listen,
    Secret secret,
    Optional<Function<InetSocketAddress, ProcessBuilder>> processes,
    Duration timeout) {
  public PipelineSetup {
    if (stages < 1) {
      throw new IllegalArgumentException("stages: expected at least 1, found " + stages);
    }
  }

  /** Returns how many stages are on this machine. */
  public int localStages() {
    return processes.isPresent() ? stages : 1;
  }
}
