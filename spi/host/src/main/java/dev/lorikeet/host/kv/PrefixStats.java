package dev.lorikeet.host.kv;

/**
 * Counts of a prefix cache.
 *
 * @param lookups sequences that were admitted and might have found their beginning
 * @param hits those that found at least one block
 * @param reusedTokens tokens whose keys and values were not computed again
 * @param evictions blocks given up for want of pages
 * @param idlePages pages of blocks that no sequence uses, free for the asking
 * @param usedPages pages of blocks that sequences use, each counted once
 */
public record PrefixStats(
    long lookups, long hits, long reusedTokens, long evictions, int idlePages, int usedPages) {
  /** The counts where nothing is cached. */
  public static final PrefixStats NONE = new PrefixStats(0, 0, 0, 0, 0, 0);
}
