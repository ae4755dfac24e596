package dev.lorikeet.jlama.kernel;

/**
 * Into how many parts phases of a team are split.
 *
 * @param workers of the team
 */
public record Parts(int workers) {
  /*
   * The long phases are products and attention: small parts, so that whoever is free takes one, but large enough that
   * taking it (some 0.1 microseconds) and starting the streams of weights anew costs little.
   */
  private static final long PART_WORK = 1 << 18;
  private static final int MOST_PER_WORKER = 8;

  /** Returns the parts of a phase that is done token by token. */
  public int byTokens(int tokens) {
    return Math.min(workers, tokens);
  }

  /**
   * Returns the parts of a product: as many for each worker, so that they end together if all run.
   *
   * @param elements of the weights
   * @param tokens that are multiplied by them
   */
  public int byWork(long elements, int tokens) {
    long each = elements * Math.max(1, tokens / 4) / PART_WORK / workers;
    long most = Math.min(MOST_PER_WORKER, WorkerTeam.MAX_PARTS / workers);
    return workers * (int) Math.clamp(each, 1, most);
  }

  /** Returns the most parts that are worth it. */
  public int most() {
    return Math.min(MOST_PER_WORKER * workers, WorkerTeam.MAX_PARTS);
  }
}
