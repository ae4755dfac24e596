package dev.lorikeet.host.stream;

/** A writer of tokens on any thread. */
record TestWriter(Runnable onCancel) implements Writer {
  static TestWriter of(Runnable onCancel) {
    return new TestWriter(onCancel);
  }

  @Override
  public void cancel() {
    onCancel.run();
  }

  @Override
  public boolean isCurrentThread() {
    return false;
  }
}
