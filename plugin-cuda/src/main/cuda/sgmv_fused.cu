// SGMV shrink and expand in one launch, for decode batches with enough tiles to fill the device by themselves.
//
// Idea: apart, the two halves cost two launches, and the second waits for the slowest block of the first. One block can do both for
//   its tile, with h = A x in shared memory, when there are at least as many tiles as multiprocessors; with fewer, the halves apart spread one
//   adapter over many blocks and win. The host chooses.
// Layout: block (tile, 1, target module of the group), 256 threads. First the warps take groups of 4 rows of A; where there are fewer groups than warps
//   (rank 16 has four), several warps share a group's features and their sums are added in order. After a barrier each thread walks the rows of
//   B^T for eight neighbouring outputs at a time. At most FUSED_RUNS adapters per tile.
// Bytes: sum over runs of rank * (in + out) * sizeof(W), plus x and y; no workspace.
// Roofline: device memory; a block keeps up to 256 threads x 8 loads of 16 bytes (32 KiB) in flight in both halves, and two blocks share a multiprocessor,
//   so that one computes while the other waits for its records. Small batches ask for B at the start.
#include "sgmv_vector.cuh"

namespace lorikeet {

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
constexpr int AHEAD_ROWS = 16;

// How many warps share one group of four rows, and which group and part of its features is this warp's first.
struct WarpPlace {
  int parts;
  int part;
  int group;
};
__device__ __forceinline__ WarpPlace placeOf(int warp, int groups) {
  switch (groups) {
    case 1:
      return {8, warp, 0};
    case 2:
      return {4, warp / 2, warp % 2};
    case 3:
      return {2, warp / 3, warp % 3};
    case 4:
      return {2, warp / 4, warp % 4};
    default:
      return {1, 0, warp};
  }
}

template <typename X>
__device__ __forceinline__ void fused(const SgmvArgs& args) {
  __shared__ float h[FUSED_RUNS][VECTOR_ROWS * MAX_RANK];
  __shared__ float partial[FUSED_RUNS][WARPS][VECTOR_ROWS * SHRINK_ROWS];
  allowNext();
  const Tile tile = pointer<Tile>(args.tiles)[args.firstTile + blockIdx.x];
  const Output& output = args.outputs[blockIdx.z];
  const Run* runs = pointer<Run>(args.runs) + tile.firstRun;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const TileTokens tokens = tokensOf(args, tile);

  if ((args.prefetch & PREFETCH_OWN) != 0) {
    const Target target = targetOf(args.directory, args.slotStride, runs[0].slot, output.target);
    prefetchRows(rowsOfA(target, args.pageShift), 0, min(target.rank, AHEAD_ROWS), 0, min(target.aStride, AHEAD_BYTES / AHEAD_ROWS), 4096);
  }
  prefetchTile<X>(output, tokens, tile.rows, 0, output.width);
  awaitPrevious();

  unsigned touched = 0;
  for (int i = 0; i < tile.runs; i++) {
    const Run run = runs[i];
    const Target target = targetOf(args.directory, args.slotStride, run.slot, output.target);
    const int rank = target.rank;
    if (rank == 0) continue;
    touched |= run.mask;
    if ((args.prefetch & PREFETCH_B) != 0) prefetchRows(rowsOfB(target, args.pageShift), 0, rank, 0, target.bStride, 4096);
    const int groups = (rank + SHRINK_ROWS - 1) / SHRINK_ROWS;
    const WarpPlace place = placeOf(warp, groups);
    if (place.part >= place.parts) continue;
    const RunInputs<X> inputs = inputsOf<X>(args, run);
    for (int group = place.group; group < groups; group += WARPS) {
      const int first = group * SHRINK_ROWS;
      float acc[SHRINK_ROWS][VECTOR_ROWS] = {};
      shrinkRowsOfAnyType<X>(target, args.pageShift, first, inputs, args.xAligned != 0, 0, args.share, 32 * place.part + lane, 32 * place.parts, acc);
      // Lane n keeps the sums of the run's token n.
      float mine[SHRINK_ROWS] = {};
#pragma unroll
      for (int n = 0; n < VECTOR_ROWS; n++) {
        if (n >= inputs.count) break;
        float sums[SHRINK_ROWS];
        warpSums(acc, n, sums);
#pragma unroll
        for (int r = 0; r < SHRINK_ROWS; r++) mine[r] = n == countBits(run.mask & ((1u << lane) - 1)) ? sums[r] : mine[r];
      }
      if (lane < VECTOR_ROWS) {
        const bool present = (run.mask >> lane & 1) != 0;
        const int entry = run.firstEntry + countBits(run.mask & ((1u << lane) - 1));
        const float factor = present ? pointer<float>(args.weights)[entry] * target.scaling : 0;
#pragma unroll
        for (int r = 0; r < SHRINK_ROWS; r++) {
          const float value = present ? mine[r] * factor : 0;
          if (place.parts > 1) {
            partial[i][warp][lane * SHRINK_ROWS + r] = value;
          } else if (first + r < rank) {
            h[i][lane * MAX_RANK + first + r] = value;
          }
        }
      }
    }
  }
  if (touched == 0) return;
  __syncthreads();
  for (int i = 0; i < tile.runs; i++) {
    const int rank = targetOf(args.directory, args.slotStride, runs[i].slot, output.target).rank;
    const int groups = (rank + SHRINK_ROWS - 1) / SHRINK_ROWS;
    const int parts = placeOf(0, groups).parts;
    if (rank == 0 || parts == 1) continue;
    // At most four groups, so one place for each of 64 threads.
    const int n = static_cast<int>(threadIdx.x) / 16;
    const int r = static_cast<int>(threadIdx.x) % 16;
    if (n >= VECTOR_ROWS || r >= rank) continue;
    float sum = 0;
    for (int part = 0; part < parts; part++) sum += partial[i][part * groups + r / SHRINK_ROWS][n * SHRINK_ROWS + r % SHRINK_ROWS];
    h[i][n * MAX_RANK + r] = sum;
  }
  __syncthreads();
  for (int o = 8 * static_cast<int>(threadIdx.x); o < output.width; o += 8 * THREADS) {
    float acc[VECTOR_ROWS][8] = {};
    for (int i = 0; i < tile.runs; i++) {
      const Target target = targetOf(args.directory, args.slotStride, runs[i].slot, output.target);
      if (target.rank != 0) expandRowsOfAnyType(target, args.pageShift, tile.rows, runs[i].mask, h[i], o, acc);
    }
    addTile<X>(output, tokens, touched, o, acc);
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(256, 2) sgmv_fused_f32(const __grid_constant__ lorikeet::SgmvArgs args) { lorikeet::fused<float>(args); }
extern "C" __global__ void __launch_bounds__(256, 2) sgmv_fused_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::fused<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(256, 2) sgmv_fused_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::fused<lorikeet::f16>(args);
}
