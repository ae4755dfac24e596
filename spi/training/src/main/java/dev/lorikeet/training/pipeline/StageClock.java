package dev.lorikeet.training.pipeline;

/** What took a stage how long, in nanoseconds, since it was read the last time. */
final class StageClock {
  private long since = System.nanoTime();
  long waited;
  long forward;
  long backward;
  long step;
  int forwards;
  int backwards;
  int steps;

  StageMeter read() {
    long now = System.nanoTime();
    StageMeter read =
        new StageMeter(
            (now - since) / 1e9,
            waited / 1e9,
            forward / 1e9,
            backward / 1e9,
            step / 1e9,
            forwards,
            backwards,
            steps);
    since = now;
    waited = forward = backward = step = 0;
    forwards = backwards = steps = 0;
    return read;
  }
}
