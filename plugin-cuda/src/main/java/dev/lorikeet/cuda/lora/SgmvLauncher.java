package dev.lorikeet.cuda.lora;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import dev.lorikeet.cuda.driver.CudaDevice;
import dev.lorikeet.cuda.driver.CudaFunction;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.KernelArgument;
import dev.lorikeet.cuda.lora.Layouts.Output;
import dev.lorikeet.cuda.lora.Layouts.Sgmv;
import dev.lorikeet.cuda.memory.Buffers;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Chooses and launches the SGMV kernels of one target group.
 *
 * <p>Vector tiles go to the fused kernel where there are enough of them to fill the device, else to
 * shrink and expand; matrix tiles to the tensor core kernels. Shrink cuts the input features into
 * splits until its thread blocks fill the device; the partial sums are added by expand, in order.
 *
 * <p>From compute capability 9.0 on launches overlap: while the thread blocks of one still work,
 * those of the next find their adapters and ask for what they will read first, so that memory is
 * not idle between two launches (about two microseconds each, half of what a decode call takes).
 */
final class SgmvLauncher implements AutoCloseable {
  private static final int VECTOR_THREADS = 128;
  private static final int FUSED_THREADS = 256;
  private static final int SHRINK_ROWS = 4;
  private static final int MATRIX_RANKS = 32;
  private static final int OUTPUTS_PER_BLOCK = 1024;
  private static final int MATRIX_OUTPUTS_PER_BLOCK = 256;
  private static final int MAX_SPLITS = 8;
  private static final int VECTOR_PASS_FEATURES = 1024;
  private static final int MATRIX_PASS_FEATURES = 512;
  private static final int MATRIX_STEP_FEATURES = 128;

  /** The compute capability from which on kernels can overlap. */
  private static final int OVERLAPPING_MAJOR = 9;

  private final CudaStream stream;
  private final Kernels kernels;
  private final int multiprocessors;
  private final int l2Bytes;
  private final CudaOptions.Fusion fusion;
  private final boolean overlaps;
  private final Arena arena = Arena.ofShared();
  private final KernelArgument argument = new KernelArgument(arena, Sgmv.BYTES);
  private final Buffers.OnDevice workspace;

  SgmvLauncher(CudaStream stream, Kernels kernels, CudaDevice device, CudaOptions options) {
    this.stream = stream;
    this.kernels = kernels;
    multiprocessors = device.multiprocessors();
    l2Bytes = device.l2Bytes();
    fusion = options.fusion();
    overlaps = options.overlap() && device.major() >= OVERLAPPING_MAJOR;
    workspace = new Buffers.OnDevice(stream);
  }

  void launch(
      BatchOnDevice batch,
      int[] modules,
      int maxRank,
      Tensor x,
      long xAddress,
      long xStride,
      List<Tensor> y,
      long[] yAddresses,
      long[] yStrides) {
    TilePlan tilePlan = batch.tilePlan();
    ElementType type = x.type();
    int targets = y.size();
    int in = (int) x.columns();
    int rankStride = (int) Buffers.align(maxRank, 8);
    int maxOut = 1;
    long allOut = 0;
    for (int i = 0; i < targets; i++) {
      maxOut = Math.max(maxOut, (int) y.get(i).columns());
      allOut += y.get(i).columns();
    }

    int rowGroups = (maxRank + SHRINK_ROWS - 1) / SHRINK_ROWS;
    int matrixGroups = (maxRank + MATRIX_RANKS - 1) / MATRIX_RANKS;
    boolean fuse = fuses(tilePlan, targets);
    int vectorSplits =
        fuse
            ? 1
            : splits((long) tilePlan.vectorRuns() * rowGroups * targets, in, VECTOR_PASS_FEATURES);
    int matrixSplits =
        splits((long) tilePlan.matrixRuns() * matrixGroups * targets, in, MATRIX_PASS_FEATURES);
    long perSplit = 4L * targets * tilePlan.entryCount() * rankStride;
    long vectorBytes = tilePlan.vectorTiles() == 0 || fuse ? 0 : vectorSplits * perSplit;
    long matrixBytes = tilePlan.matrixTiles() == 0 ? 0 : matrixSplits * perSplit;
    long space = workspace.reserve(Math.max(256, vectorBytes + matrixBytes));

    MemorySegment args = argument.structure();
    args.set(JAVA_LONG_UNALIGNED, Sgmv.X, xAddress);
    args.set(JAVA_LONG_UNALIGNED, Sgmv.DIRECTORY, batch.cache().directoryAddress());
    args.set(JAVA_LONG_UNALIGNED, Sgmv.TILES, batch.tiles());
    args.set(JAVA_LONG_UNALIGNED, Sgmv.RUNS, batch.runs());
    args.set(JAVA_LONG_UNALIGNED, Sgmv.ROWS, batch.rows());
    args.set(JAVA_LONG_UNALIGNED, Sgmv.WEIGHTS, batch.weights());
    args.set(JAVA_LONG_UNALIGNED, Sgmv.X_STRIDE, xStride);
    args.set(JAVA_INT_UNALIGNED, Sgmv.IN, in);
    args.set(JAVA_INT_UNALIGNED, Sgmv.SLOT_STRIDE, batch.cache().directoryStride());
    args.set(JAVA_INT_UNALIGNED, Sgmv.PAGE_SHIFT, batch.cache().pageShift());
    args.set(JAVA_INT_UNALIGNED, Sgmv.RANK_STRIDE, rankStride);
    args.set(JAVA_INT_UNALIGNED, Sgmv.ENTRIES, tilePlan.entryCount());
    args.set(JAVA_INT_UNALIGNED, Sgmv.X_ALIGNED, Shapes.isAligned(x) ? 1 : 0);
    // Half of the cache for B; if it were more, what came early would be gone when it is wanted.
    long bytesOfB = 2L * tilePlan.vectorRuns() * maxRank * allOut;
    int prefetch = bytesOfB <= l2Bytes / 2 ? Layouts.PREFETCH_B : 0;
    args.set(
        JAVA_INT_UNALIGNED, Sgmv.PREFETCH, overlaps ? prefetch | Layouts.PREFETCH_OWN : prefetch);
    for (int i = 0; i < targets; i++) {
      long output = Sgmv.OUTPUTS + (long) i * Output.BYTES;
      args.set(JAVA_LONG_UNALIGNED, output + Output.Y, yAddresses[i]);
      args.set(JAVA_LONG_UNALIGNED, output + Output.STRIDE, yStrides[i]);
      args.set(JAVA_INT_UNALIGNED, output + Output.WIDTH, (int) y.get(i).columns());
      args.set(JAVA_INT_UNALIGNED, output + Output.TARGET, modules[i]);
      args.set(JAVA_INT_UNALIGNED, output + Output.ALIGNED, Shapes.isAligned(y.get(i)) ? 1 : 0);
    }

    if (tilePlan.vectorTiles() > 0) {
      int vectors = (in + 7) / 8;
      int share = fuse ? vectors : share(vectors, vectorSplits, VECTOR_THREADS);
      part(args, space, vectorSplits, share, 0, 0);
      int outGroups = (maxOut + OUTPUTS_PER_BLOCK - 1) / OUTPUTS_PER_BLOCK;
      int tiles = tilePlan.vectorTiles();
      if (fuse) {
        launch(kernels.fused(type), tiles, 1, targets, FUSED_THREADS);
      } else {
        int splitTargets = targets * vectorSplits;
        launch(
            kernels.shrink(type), tilePlan.vectorRuns(), rowGroups, splitTargets, VECTOR_THREADS);
        launch(kernels.expand(type), tiles, outGroups, targets, VECTOR_THREADS);
      }
    }
    if (tilePlan.matrixTiles() > 0) {
      int share = share(in, matrixSplits, MATRIX_STEP_FEATURES);
      part(
          args,
          space + vectorBytes,
          matrixSplits,
          share,
          tilePlan.vectorTiles(),
          tilePlan.vectorRuns());
      int outGroups = (maxOut + MATRIX_OUTPUTS_PER_BLOCK - 1) / MATRIX_OUTPUTS_PER_BLOCK;
      int runs = tilePlan.matrixRuns();
      int tiles = tilePlan.matrixTiles();
      int splitTargets = targets * matrixSplits;
      launch(kernels.shrinkMatrix(type), runs, matrixGroups, splitTargets, VECTOR_THREADS);
      launch(kernels.expandMatrix(type), tiles, outGroups, targets, VECTOR_THREADS);
    }
  }

  private void launch(CudaFunction kernel, int gridX, int gridY, int gridZ, int threads) {
    if (overlaps) {
      kernel.launchOverlapping(stream, gridX, gridY, gridZ, threads, argument);
    } else {
      kernel.launch(stream, gridX, gridY, gridZ, threads, argument);
    }
  }

  private static void part(
      MemorySegment args, long workspace, int splits, int share, int firstTile, int firstRun) {
    args.set(JAVA_LONG_UNALIGNED, Sgmv.WORKSPACE, workspace);
    args.set(JAVA_INT_UNALIGNED, Sgmv.SPLITS, splits);
    args.set(JAVA_INT_UNALIGNED, Sgmv.SPLIT_SHIFT, Integer.numberOfTrailingZeros(splits));
    args.set(JAVA_INT_UNALIGNED, Sgmv.SHARE, share);
    args.set(JAVA_INT_UNALIGNED, Sgmv.FIRST_TILE, firstTile);
    args.set(JAVA_INT_UNALIGNED, Sgmv.FIRST_RUN, firstRun);
  }

  /** What a split takes of {@code all}, in whole passes of {@code pass}. */
  private static int share(int all, int splits, int pass) {
    return (int) Buffers.align((all + splits - 1) / splits, pass);
  }

  private boolean fuses(TilePlan tilePlan, int targets) {
    if (tilePlan.vectorTiles() == 0 || tilePlan.mostVectorRuns() > Layouts.FUSED_RUNS) {
      return false;
    }
    return switch (fusion) {
      case ALWAYS -> true;
      case NEVER -> false;
      case AUTO -> (long) tilePlan.vectorTiles() * targets >= multiprocessors;
    };
  }

  /**
   * Cuts the input features into whole passes of a thread block, until the thread blocks fill the
   * device: a power of two, so that kernels need not divide.
   */
  private int splits(long threadBlocks, int in, int passFeatures) {
    int passes = (in + passFeatures - 1) / passFeatures;
    long wanted = Math.clamp(4L * multiprocessors / Math.max(1, threadBlocks), 1, MAX_SPLITS);
    return Integer.highestOneBit((int) Math.min(wanted, passes));
  }

  @Override
  public void close() {
    workspace.close();
    arena.close();
  }
}
