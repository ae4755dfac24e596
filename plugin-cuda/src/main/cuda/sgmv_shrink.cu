// SGMV shrink for few tokens per adapter (decode): workspace[entry][r] = A[r] . x[token of entry].
//
// Idea: with one to four tokens per adapter the product does as little as one multiplication per weight read, so it is bound by memory:
//   read A once with 16-byte loads, many of them in flight, and keep everything else out of the way. (Segmented gather matrix-vector
//   multiplication: Punica, arXiv 2310.18547; MBGMV of S-LoRA, arXiv 2311.03285.)
// Layout: block (run, group of 4 rows of A, target module of the group x split of the input features), 128 threads. Each thread walks the
//   features in vectors of eight, 4 rows of A and the run's x together; warps reduce by shuffles, the block through shared memory. Splits are partial
//   sums in the workspace, which expand adds in their order: no atomics, the same bits every time. Where all of B fits the L2 cache, blocks ask for
//   their share of it, so that it travels beside A and expand finds it there.
// Bytes: sum over runs of rank * in * sizeof(W); x is read rank / 4 times, from L2. Flops: 2 * tokens per byte pair, at most 4 per byte.
// Roofline: bound by device memory below about 10 flops per byte (H200: 4.8 TB/s), so always here; the grid must hold some 30 KiB of loads in flight
//   per multiprocessor: 4 blocks of 128 threads with 4 to 8 loads of 16 bytes each. Splits are chosen by the host to reach that.
#include "sgmv_vector.cuh"

namespace lorikeet {

constexpr int THREADS = 128;
constexpr int WARPS = THREADS / 32;
// Blocks that a multiprocessor shall hold at once: five leave room for one of the expand that overlaps; before sm_90 they cost spilled registers.
constexpr int BLOCKS = MACHINE >= 90 ? 5 : 4;

// How many vectors of a row of A one split takes: whole passes of the block, so that no split ends in a pass of a few.
__device__ __forceinline__ int vectorsPerSplit(const SgmvArgs& args, const Target& target) {
  if (target.aBlocks == 1) return args.share;
  const int vectors = (target.aWidth / target.aBlocks + 7) / 8;
  return ((vectors + args.splits - 1 >> args.splitShift) + THREADS - 1) / THREADS * THREADS;
}

template <typename X>
__device__ __forceinline__ void shrink(const SgmvArgs& args) {
  __shared__ float partial[WARPS][SHRINK_ROWS * VECTOR_ROWS];
  allowNext();
  const Run run = pointer<Run>(args.runs)[args.firstRun + blockIdx.x];
  const int first = static_cast<int>(blockIdx.y) * SHRINK_ROWS;
  const int split = static_cast<int>(blockIdx.z) & (args.splits - 1);
  const Output& output = args.outputs[blockIdx.z >> args.splitShift];
  const Target target = targetOf(args.directory, args.slotStride, run.slot, output.target);
  const int last = min(target.rank, first + SHRINK_ROWS);
  const int share = first < last ? vectorsPerSplit(args, target) : 0;
  if ((args.prefetch & PREFETCH_OWN) != 0) {
    const int bytes = share * (target.aType == F32 ? 32 : 16);
    const int end = min(target.aStride, split * bytes + min(bytes, AHEAD_BYTES / SHRINK_ROWS));
    prefetchRows(rowsOfA(target, args.pageShift), first, last, split * bytes, end, 4096);
  }
  if ((args.prefetch & PREFETCH_B) != 0) prefetchRows(rowsOfB(target, args.pageShift), first, last, split * 4096, target.bStride, args.splits * 4096);
  awaitPrevious();
  if (first >= last) return;

  const RunInputs<X> inputs = inputsOf<X>(args, run);
  float acc[SHRINK_ROWS][VECTOR_ROWS] = {};
  shrinkRowsOfAnyType<X>(target, args.pageShift, first, inputs, args.xAligned != 0, split, share, threadIdx.x, THREADS, acc);

  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll
  for (int n = 0; n < VECTOR_ROWS; n++) {
    if (n >= inputs.count) break;
    float sums[SHRINK_ROWS];
    warpSums(acc, n, sums);
#pragma unroll
    for (int r = 0; r < SHRINK_ROWS; r++) {
      if (lane == 0) partial[warp][r * VECTOR_ROWS + n] = sums[r];
    }
  }
  __syncthreads();
  const int r = threadIdx.x / VECTOR_ROWS;
  const int n = threadIdx.x % VECTOR_ROWS;
  if (r >= SHRINK_ROWS || n >= inputs.count || first + r >= last) return;
  float sum = partial[0][threadIdx.x];
#pragma unroll
  for (int w = 1; w < WARPS; w++) sum += partial[w][threadIdx.x];
  const long long entry = static_cast<long long>(blockIdx.z) * args.entries + run.firstEntry + n;
  writable<float>(args.workspace)[entry * args.rankStride + first + r] = sum;
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(128, lorikeet::BLOCKS) sgmv_shrink_f32(const __grid_constant__ lorikeet::SgmvArgs args) { lorikeet::shrink<float>(args); }
extern "C" __global__ void __launch_bounds__(128, lorikeet::BLOCKS) sgmv_shrink_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::shrink<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128, lorikeet::BLOCKS) sgmv_shrink_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::shrink<lorikeet::f16>(args);
}
