package dev.lorikeet.jlama.hub;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;

/** Counts the failures in a row of one thing to download, and waits longer after each. */
final class Retries {
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);

  private final Patience patience;
  private final DownloadProgress progress;
  private int failures;

  Retries(Patience patience, DownloadProgress progress) {
    this.patience = patience;
    this.progress = progress;
  }

  /** A failure that may pass, and how long the server asks to wait. */
  static final class Passing extends IOException {
    private static final long serialVersionUID = 1L;

    @SuppressWarnings("serial") // never serialized
    private final Optional<Duration> retryAfter;

    Passing(String message, Optional<Duration> retryAfter) {
      super(message);
      this.retryAfter = retryAfter;
    }
  }

  /** Forgets the failures, since something has come after them. */
  void gained() {
    failures = 0;
  }

  /**
   * Waits after a failure.
   *
   * @throws dev.lorikeet.LorikeetException if there were too many
   */
  void failed(IOException failure) {
    failures++;
    String message = String.valueOf(failure.getMessage());
    Duration asked =
        failure instanceof Passing passing
            ? passing.retryAfter.orElse(Duration.ZERO)
            : Duration.ZERO;
    if (failures >= patience.attempts()) {
      throw HubFaults.failed(message + " (" + failures + " times)", failure);
    }
    if (asked.compareTo(patience.retryAfter()) > 0) {
      throw HubFaults.failed(
          message + "; it asks to come back in " + asked.toSeconds() + " s", failure);
    }
    Duration usual = FIRST_PAUSE.multipliedBy(1L << (failures - 1));
    Duration pause = asked.compareTo(usual) > 0 ? asked : usual;
    progress.waiting(message + "; again in " + pause.toSeconds() + " s");
    try {
      patience.pause().await(pause);
    } catch (InterruptedException e) {
      throw HubFaults.cancelled(message);
    }
  }
}
