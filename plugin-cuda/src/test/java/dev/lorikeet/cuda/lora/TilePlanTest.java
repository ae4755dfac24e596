package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraBatch;
import java.util.BitSet;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** What kernels rely on: each token in one tile, each entry in one run, with its weight. */
class TilePlanTest {
  @Test
  void everyEntryHasOnePlaceAndEveryTokenOneTile() {
    long seed = Long.getLong("lorikeet.cuda.seed", System.nanoTime());
    Random random = new Random(seed);
    TilePlan plan = new TilePlan();
    for (int round = 0; round < 300; round++) {
      int tokens = random.nextInt(200);
      int segments = random.nextInt(round % 10 == 0 ? 400 : 12);
      int density = 1 + random.nextInt(40);
      LoraBatch batch = new LoraBatch().reset(tokens);
      int[] slots = new int[segments];
      boolean[] matrix = new boolean[segments];
      try (RandomAdapter nobody = new RandomAdapter(random)) {
        for (int s = 0; s < segments; s++) {
          slots[s] = random.nextInt(50);
          matrix[s] = random.nextBoolean();
          batch.beginSegment(nobody);
          for (int t = 0; t < tokens; t++) {
            if (random.nextInt(density) == 0) {
              batch.add(t, random.nextFloat());
            }
          }
        }
        plan.build(batch, slots, matrix);
        check("-Dlorikeet.cuda.seed=" + seed + ", round " + round, batch, slots, matrix, plan);
      }
    }
  }

  private static void check(
      String where, LoraBatch batch, int[] slots, boolean[] matrix, TilePlan plan) {
    // token -> for each slot and weight, how often
    TreeMap<String, Integer> expected = new TreeMap<>();
    BitSet matrixTokens = new BitSet();
    matrixTokens.set(0, batch.tokens());
    for (int s = 0; s < batch.segments(); s++) {
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        expected.merge(batch.token(e) + "/" + slots[s] + "/" + batch.weight(e), 1, Integer::sum);
        if (!matrix[s]) {
          matrixTokens.clear(batch.token(e));
        }
      }
    }
    TreeMap<String, Integer> found = new TreeMap<>();
    BitSet seen = new BitSet();
    BitSet entries = new BitSet();
    int[] lastTokens = new int[Layouts.VECTOR_ROWS];
    int runs = 0;
    for (int tile = 0; tile < plan.tileCount(); tile++) {
      boolean forMatrix = tile >= plan.vectorTiles();
      int firstRow = plan.tiles()[4 * tile];
      int rows = plan.tiles()[4 * tile + 1];
      assertTrue(
          rows >= 1 && rows <= (forMatrix ? Layouts.MATRIX_ROWS : Layouts.VECTOR_ROWS), where);
      for (int row = 0; row < rows; row++) {
        int token = plan.rows()[firstRow + row];
        assertFalse(seen.get(token), where);
        seen.set(token);
        assertTrue(!forMatrix || matrixTokens.get(token), where);
      }
      assertEquals(runs, plan.tiles()[4 * tile + 2], where);
      runs += plan.tiles()[4 * tile + 3];
      for (int run = plan.tiles()[4 * tile + 2]; run < runs; run++) {
        assertEquals(tile, plan.runs()[Layouts.RUN_INTS * run + 3], where);
        int mask = plan.runs()[Layouts.RUN_INTS * run + 2];
        assertTrue(mask != 0 && (rows == 32 || mask >>> rows == 0), where);
        int entry = plan.runs()[Layouts.RUN_INTS * run + 1];
        int tokens = Layouts.RUN_INTS * run + Layouts.RUN_TOKENS;
        int used = 0;
        for (int row = 0; row < rows; row++) {
          if ((mask >>> row & 1) != 0) {
            for (int i = used++; i < Layouts.VECTOR_ROWS; i++) {
              lastTokens[i] = plan.rows()[firstRow + row];
            }
            assertFalse(entries.get(entry), where);
            entries.set(entry);
            String key =
                plan.rows()[firstRow + row]
                    + "/"
                    + plan.runs()[Layouts.RUN_INTS * run]
                    + "/"
                    + plan.weights()[entry];
            found.merge(key, 1, Integer::sum);
            entry++;
          }
        }
        for (int i = 0; i < Layouts.VECTOR_ROWS; i++) {
          assertEquals(lastTokens[i], plan.runs()[tokens + i], where + ", the run's tokens");
        }
      }
    }
    assertEquals(runs, plan.runCount(), where);
    assertEquals(plan.entryCount(), entries.cardinality(), where);
    assertEquals(batch.entries(), plan.entryCount(), where);
    assertEquals(expected, found, where);
  }
}
