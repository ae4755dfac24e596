// SGMV shrink on tensor cores, for adapters with many tokens (prefill, or a popular adapter): workspace[entry][r] = A[r] . x[token of entry].
//
// Idea: A (rank x in) is the left operand and x^T (in x tokens) the right one, both with the features contiguous, as mma.m16n8k16 wants them. The order in
//   which features are summed is free as long as both operands use the same, so every thread loads 16 contiguous bytes per row straight into
//   fragments: thread (g, t) takes features 8t..8t+7 of rows g and g + 8, which feed two multiplications. No shared memory, no ldmatrix.
// Layout: block (run, 32 rows of A, target module x split of the features), 4 warps that interleave over the features in steps of 32, each with the whole 32 x 32
//   tile of results (32 accumulators a thread); their sum goes through shared memory. Products of bf16 and f16 are exact in float.
// Bytes: x once per 32 ranks and A once per 32 tokens, the latter from L2. Flops: 2 * 32 * 32 per 128 bytes loaded.
// Roofline: memory (x) up to rank 64 or so; beyond, L2. Only for dense adapters of the activations' type and whole vectors of features; others take the vector path.
#include "elements.cuh"
#include "layout.cuh"

namespace lorikeet {

constexpr int TILE_RANKS = 32;
constexpr int WARPS = 4;
// Rows of partial sums lie 36 floats apart, so that no two lanes meet in a bank.
constexpr int PITCH = TILE_RANKS + 4;

__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bf16) { mmaBf16(c, a, b); }
__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], f16) { mmaF16(c, a, b); }

template <typename T>
__device__ __forceinline__ void shrinkMatrix(const SgmvArgs& args) {
  __shared__ float partial[WARPS][MATRIX_ROWS][PITCH];
  allowNext();
  const Run run = pointer<Run>(args.runs)[args.firstRun + blockIdx.x];
  const int first = static_cast<int>(blockIdx.y) * TILE_RANKS;
  const int split = static_cast<int>(blockIdx.z) & (args.splits - 1);
  const Output& output = args.outputs[blockIdx.z >> args.splitShift];
  const Target target = targetOf(args.directory, args.slotStride, run.slot, output.target);
  const Tile tile = pointer<Tile>(args.tiles)[run.tile];
  const int rank = target.rank;
  const FactorRows a = rowsOfA(target, args.pageShift);
  if ((args.prefetch & PREFETCH_OWN) != 0) {
    const int begin = split * args.share * 2;
    const int end = min(target.aStride, begin + min(args.share * 2, AHEAD_BYTES / TILE_RANKS));
    prefetchRows(a, first, min(rank, first + TILE_RANKS), begin, end, 4096);
  }
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int* tokens = pointer<int>(args.rows) + tile.firstRow;
  const T* x[4];
#pragma unroll
  for (int q = 0; q < 4; q++) x[q] = pointer<T>(args.x) + tokens[min(8 * q + g, tile.rows - 1)] * args.xStride;
  awaitPrevious();
  if (first >= rank) return;

  const int end = min(args.in, (split + 1) * args.share);
  float acc[2][4][4] = {};
#pragma unroll 2
  for (int base = split * args.share + 32 * warp; base < end; base += 128) {
    const int k = base + 8 * t;
    Eight<T> w[4];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      // Rows beyond the last are read as the last and never written; no branch comes between the loads.
      w[j] = loadEight<T, Memory::READ_ONLY>(a.at(min(first + 8 * j + g, rank - 1), k < args.in ? 2 * k : 0));
      clearUnless(k < args.in, w[j]);
    }
    Eight<T> v[4];
#pragma unroll
    for (int q = 0; q < 4; q++) {
      v[q] = loadEight<T, Memory::FRESH>(x[q] + (k < args.in ? k : 0));
      clearUnless(k < args.in, v[q]);
    }
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
#pragma unroll
      for (int m = 0; m < 2; m++) {
        const unsigned left[4] = {w[2 * m].words[half], w[2 * m + 1].words[half], w[2 * m].words[half + 1], w[2 * m + 1].words[half + 1]};
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const unsigned right[2] = {v[q].words[half], v[q].words[half + 1]};
          multiply(acc[m][q], left, right, T{});
        }
      }
    }
  }

#pragma unroll
  for (int m = 0; m < 2; m++) {
#pragma unroll
    for (int q = 0; q < 4; q++) {
#pragma unroll
      for (int i = 0; i < 4; i++) partial[warp][8 * q + 2 * t + i % 2][16 * m + g + i / 2 * 8] = acc[m][q][i];
    }
  }
  __syncthreads();
  const long long firstEntry = static_cast<long long>(blockIdx.z) * args.entries + run.firstEntry;
  for (int place = threadIdx.x; place < TILE_RANKS * MATRIX_ROWS; place += blockDim.x) {
    const int n = place / TILE_RANKS;
    const int r = place % TILE_RANKS;
    if (first + r >= rank || (run.mask >> n & 1) == 0) continue;
    float sum = partial[0][n][r];
#pragma unroll
    for (int i = 1; i < WARPS; i++) sum += partial[i][n][r];
    const long long entry = firstEntry + countBits(run.mask & ((1u << n) - 1));
    writable<float>(args.workspace)[entry * args.rankStride + first + r] = sum;
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(128) sgmv_shrink_mma_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::shrinkMatrix<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128) sgmv_shrink_mma_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::shrinkMatrix<lorikeet::f16>(args);
}
