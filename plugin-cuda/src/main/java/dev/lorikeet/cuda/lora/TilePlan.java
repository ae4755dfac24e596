package dev.lorikeet.cuda.lora;

import dev.lorikeet.executor.LoraBatch;
import java.util.Arrays;

/**
 * How kernels go over a batch: tokens sorted by adapter and cut into tiles.
 *
 * <p>Idea: each token stands with the first segment that it is in, in the order of the segments.
 * The tokens that stand together go to the tensor cores, in tiles of {@link Layouts#MATRIX_ROWS},
 * when at least {@link #MATRIX_THRESHOLD} of them have adapters that all allow it, else to the
 * vector kernels in tiles of {@link Layouts#VECTOR_ROWS}. A tile's runs are the segments that its
 * tokens belong to, so a mixture is several runs of one tile. Layout: vector tiles and their runs
 * first, then matrix ones; entries are numbered by run, then by row. Cost: linear in the entries;
 * allocates only to grow.
 */
final class TilePlan {
  /** Below this many tokens a tensor core tile would mostly multiply zeros. */
  static final int MATRIX_THRESHOLD = 5;

  private int[] tiles = new int[64 * Layouts.TILE_INTS];
  private int[] runs = new int[64 * Layouts.RUN_INTS];
  private int[] rows = new int[64];
  private float[] weights = new float[64];
  private int tileCount;
  private int vectorTiles;
  private int runCount;
  private int vectorRuns;
  private int rowCount;
  private int entryCount;
  private int mostVectorRuns;

  // Scratch, by token or by segment.
  private int[] tokenStarts = new int[65];
  private int[] tokenSegments = new int[64];
  private float[] tokenWeights = new float[64];
  private boolean[] placed = new boolean[64];
  private boolean[] matrix = new boolean[64];
  private int[] segmentRun = new int[64];
  private int[] together = new int[64];

  /**
   * Plans a batch.
   *
   * @param slots the directory slot of each segment's adapter
   * @param takesMatrix whether each segment's adapter may go to the tensor cores
   */
  void build(LoraBatch batch, int[] slots, boolean[] takesMatrix) {
    int tokens = batch.tokens();
    int segments = batch.segments();
    reserve(tokens, segments, batch.entries());
    sortByToken(batch, tokens, takesMatrix);
    tileCount = 0;
    runCount = 0;
    rowCount = 0;
    entryCount = 0;
    mostVectorRuns = 0;
    Arrays.fill(segmentRun, 0, segments, -1);
    place(batch, slots, false);
    vectorTiles = tileCount;
    vectorRuns = runCount;
    place(batch, slots, true);
  }

  private void reserve(int tokens, int segments, int entries) {
    if (placed.length < tokens) {
      placed = new boolean[2 * tokens];
      matrix = new boolean[2 * tokens];
      tokenStarts = new int[2 * tokens + 1];
      together = new int[2 * tokens];
      rows = new int[2 * tokens];
      tiles = new int[2 * tokens * Layouts.TILE_INTS];
    }
    if (tokenSegments.length < entries) {
      tokenSegments = new int[2 * entries];
      tokenWeights = new float[2 * entries];
      weights = new float[2 * entries];
      runs = new int[2 * entries * Layouts.RUN_INTS];
    }
    if (segmentRun.length < segments) {
      segmentRun = new int[2 * segments];
    }
  }

  /** Turns the batch around: for each token its segments, in their order. */
  private void sortByToken(LoraBatch batch, int tokens, boolean[] takesMatrix) {
    Arrays.fill(tokenStarts, 0, tokens + 1, 0);
    Arrays.fill(placed, 0, tokens, false);
    Arrays.fill(matrix, 0, tokens, true);
    for (int e = 0; e < batch.entries(); e++) {
      tokenStarts[batch.token(e)]++;
    }
    int end = 0;
    for (int t = 0; t < tokens; t++) {
      end += tokenStarts[t];
      tokenStarts[t] = end;
    }
    tokenStarts[tokens] = end;
    // From the last to the first, so that each start ends up where it belongs.
    for (int s = batch.segments() - 1; s >= 0; s--) {
      for (int e = batch.segmentEnd(s) - 1; e >= batch.segmentStart(s); e--) {
        int token = batch.token(e);
        int place = --tokenStarts[token];
        tokenSegments[place] = s;
        tokenWeights[place] = batch.weight(e);
        matrix[token] &= takesMatrix[s];
      }
    }
  }

  /** Cuts the tokens of one kind, segment by segment, into tiles. */
  private void place(LoraBatch batch, int[] slots, boolean forMatrix) {
    int size = forMatrix ? Layouts.MATRIX_ROWS : Layouts.VECTOR_ROWS;
    for (int s = 0; s < batch.segments(); s++) {
      int able = 0;
      int count = 0;
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        int token = batch.token(e);
        if (!placed[token] && tokenSegments[tokenStarts[token]] == s && matrix[token]) {
          able++;
        }
      }
      boolean worth = able >= MATRIX_THRESHOLD;
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        int token = batch.token(e);
        if (!placed[token]
            && tokenSegments[tokenStarts[token]] == s
            && (worth && matrix[token]) == forMatrix) {
          placed[token] = true;
          together[count++] = token;
        }
      }
      for (int from = 0; from < count; from += size) {
        addTile(slots, from, Math.min(size, count - from), forMatrix);
      }
    }
  }

  private void addTile(int[] slots, int from, int count, boolean forMatrix) {
    int tile = tileCount++;
    int firstRun = runCount;
    int firstRow = rowCount;
    for (int row = 0; row < count; row++) {
      int token = together[from + row];
      rows[rowCount++] = token;
      for (int place = tokenStarts[token]; place < tokenStarts[token + 1]; place++) {
        int segment = tokenSegments[place];
        int run = segmentRun[segment];
        if (run < firstRun) {
          run = runCount++;
          segmentRun[segment] = run;
          setRun(run, slots[segment], tile);
        }
        runs[run * Layouts.RUN_INTS + 2] |= 1 << row;
      }
    }
    int entry = entryCount;
    for (int run = firstRun; run < runCount; run++) {
      runs[run * Layouts.RUN_INTS + 1] = entry;
      entry += Integer.bitCount(runs[run * Layouts.RUN_INTS + 2]);
    }
    entryCount = entry;
    for (int row = 0; row < count; row++) {
      int token = together[from + row];
      for (int place = tokenStarts[token]; place < tokenStarts[token + 1]; place++) {
        int run = segmentRun[tokenSegments[place]] * Layouts.RUN_INTS;
        int before = Integer.bitCount(runs[run + 2] & ((1 << row) - 1));
        weights[runs[run + 1] + before] = tokenWeights[place];
        // Tokens come in their order: each stands until the next one overwrites it.
        for (int i = before; i < Layouts.VECTOR_ROWS; i++) {
          runs[run + Layouts.RUN_TOKENS + i] = token;
        }
      }
    }
    int place = tile * Layouts.TILE_INTS;
    tiles[place] = firstRow;
    tiles[place + 1] = count;
    tiles[place + 2] = firstRun;
    tiles[place + 3] = runCount - firstRun;
    if (!forMatrix) {
      mostVectorRuns = Math.max(mostVectorRuns, runCount - firstRun);
    }
  }

  private void setRun(int run, int slot, int tile) {
    int place = run * Layouts.RUN_INTS;
    runs[place] = slot;
    runs[place + 1] = 0;
    runs[place + 2] = 0;
    runs[place + 3] = tile;
  }

  int[] tiles() {
    return tiles;
  }

  int[] runs() {
    return runs;
  }

  int[] rows() {
    return rows;
  }

  float[] weights() {
    return weights;
  }

  int tileCount() {
    return tileCount;
  }

  int vectorTiles() {
    return vectorTiles;
  }

  int matrixTiles() {
    return tileCount - vectorTiles;
  }

  int runCount() {
    return runCount;
  }

  int vectorRuns() {
    return vectorRuns;
  }

  int matrixRuns() {
    return runCount - vectorRuns;
  }

  int rowCount() {
    return rowCount;
  }

  int entryCount() {
    return entryCount;
  }

  /** Returns the largest number of runs in a vector tile. */
  int mostVectorRuns() {
    return mostVectorRuns;
  }
}
