// SGMV expand on tensor cores, for adapters with many tokens: y[token] += sum over the token's entries of weight * scaling * B h.
//
// Idea: y^T tile = B (out x rank) times h^T (rank x tokens) with mma.m16n8k8 in tf32. bf16 and f16 weights are exact in tf32; h is float and goes in as two
//   tf32 numbers, its upper 11 bits and the rest, so that the product keeps 22 bits: h is never rounded to the weights' type.
//   Outputs may be permuted freely: thread (g, t) loads 16 contiguous bytes of row t (and t + 4) of B^T, the outputs 8g..8g+7, which are
//   one row of each of four left operands; the accumulators then hold those eight neighbouring outputs, and y is updated in vectors of 16 bytes.
// Layout: block (tile of up to 32 tokens, 256 outputs, target module), 4 warps of 64 outputs x 32 tokens, 64 accumulators a thread. h comes through
//   shared memory 32 ranks at a time, in rows of 36 floats (conflict-free). All runs of the tile add up before y is touched.
// Bytes: y twice, B once per 32 tokens, the latter from L2. Flops: 2 * 2 * 32 * rank per output.
// Roofline: memory (y). Only for dense adapters of the activations' type; others take the vector path.
#include "elements.cuh"
#include "layout.cuh"

namespace lorikeet {

constexpr int CHUNK = 32;
constexpr int PITCH = CHUNK + 4;
constexpr int THREADS = 128;
constexpr int BLOCK_OUTPUTS = 256;
// Blocks that a multiprocessor shall hold at once; more cost spilled registers.
constexpr int BLOCKS = MACHINE >= 100 ? 2 : 3;

// Adds the splits of 32 ranks of h, scales them and cuts them in two tf32 numbers; every thread has one rank of eight tokens, all loads side by side.
__device__ __forceinline__ void stage(const SgmvArgs& args, const Run& run, float scaling, int rank, int first, const float* workspace, long long partials,
                                      float (&high)[MATRIX_ROWS][PITCH], float (&low)[MATRIX_ROWS][PITCH]) {
  constexpr int TOKENS = MATRIX_ROWS * CHUNK / THREADS;
  const int r = threadIdx.x % CHUNK;
  const int firstToken = static_cast<int>(threadIdx.x) / CHUNK;
  const bool isRank = first + r < rank;
  const float* from[TOKENS];
  float factors[TOKENS];
  float values[TOKENS] = {};
#pragma unroll
  for (int i = 0; i < TOKENS; i++) {
    const int n = firstToken + i * (THREADS / CHUNK);
    const bool present = isRank && (run.mask >> n & 1) != 0;
    const int entry = run.firstEntry + (present ? countBits(run.mask & ((1u << n) - 1)) : 0);
    from[i] = workspace + static_cast<long long>(entry) * args.rankStride + (present ? first + r : 0);
    factors[i] = present ? pointer<float>(args.weights)[entry] * scaling : 0;
  }
  for (int s = 0; s < args.splits; s++) {
#pragma unroll
    for (int i = 0; i < TOKENS; i++) values[i] += from[i][s * partials];
  }
#pragma unroll
  for (int i = 0; i < TOKENS; i++) {
    const int n = firstToken + i * (THREADS / CHUNK);
    const float value = isRank && (run.mask >> n & 1) != 0 ? values[i] * factors[i] : 0;
    const unsigned bits = floatToBits(value);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    // Cutting a NaN's low bits could make it an infinity, and infinity minus itself is NaN: those go in whole.
    const float upper = finite ? bitsToFloat(bits & 0xffffe000u) : value != value ? bitsToFloat(0x7fc00000u) : value;
    high[n][r] = upper;
    low[n][r] = finite ? value - upper : 0;
  }
}

template <typename T>
__device__ __forceinline__ void expandMatrix(const SgmvArgs& args) {
  __shared__ float high[MATRIX_ROWS][PITCH];
  __shared__ float low[MATRIX_ROWS][PITCH];
  allowNext();
  const Tile tile = pointer<Tile>(args.tiles)[args.firstTile + blockIdx.x];
  const Output& output = args.outputs[blockIdx.z];
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int firstOutput = static_cast<int>(blockIdx.y) * BLOCK_OUTPUTS;
  const int o = firstOutput + static_cast<int>(threadIdx.x / 32) * 64 + 8 * g;
  const long long partials = static_cast<long long>(args.entries) * args.rankStride;
  const float* workspace = pointer<float>(args.workspace) + blockIdx.z * args.splits * partials;
  // Token n of this thread is row 8 * (n / 2) + 2 * t + n % 2 of the tile.
  int tokens[8];
#pragma unroll
  for (int n = 0; n < 8; n++) {
    tokens[n] = pointer<int>(args.rows)[tile.firstRow + min(8 * (n / 2) + 2 * t + n % 2, tile.rows - 1)];
    // Eight lanes that have the same tokens hold 64 neighbouring outputs: one line.
    if (g == 0 && o < output.width) prefetchToL2(pointer<T>(output.y) + tokens[n] * output.stride + o);
  }
  if ((args.prefetch & PREFETCH_OWN) != 0) prefetchFirstOfB(args, tile, output, firstOutput, firstOutput + BLOCK_OUTPUTS);
  awaitPrevious();

  float acc[4][4][4] = {};
  unsigned touched = 0;
  for (int i = 0; i < tile.runs; i++) {
    const Run run = pointer<Run>(args.runs)[tile.firstRun + i];
    const Target target = targetOf(args.directory, args.slotStride, run.slot, output.target);
    const int rank = target.rank;
    if (rank == 0) continue;
    touched |= run.mask;
    const FactorRows b = rowsOfB(target, args.pageShift);
    for (int first = 0; first < rank; first += CHUNK) {
      __syncthreads();
      stage(args, run, target.scaling, rank, first, workspace, partials, high, low);
      __syncthreads();
      const int ranks = min(CHUNK, rank - first);
#pragma unroll 2
      for (int k = 0; k < ranks; k += 8) {
        Eight<T> w[2];
#pragma unroll
        for (int j = 0; j < 2; j++) {
          const int row = first + k + 4 * j + t;
          w[j] = loadEight<T, Memory::READ_ONLY>(b.at(min(row, rank - 1), o < output.width ? 2 * o : 0));
          clearUnless(row < rank, w[j]);
        }
#pragma unroll
        for (int q = 0; q < 4; q++) {
          if (8 * q >= tile.rows) continue;
          const unsigned upper[2] = {floatToBits(high[8 * q + g][k + t]), floatToBits(high[8 * q + g][k + t + 4])};
          const unsigned rest[2] = {floatToBits(low[8 * q + g][k + t]), floatToBits(low[8 * q + g][k + t + 4])};
#pragma unroll
          for (int m = 0; m < 4; m++) {
            const unsigned left[4] = {floatToBits(w[0].get(2 * m)), floatToBits(w[0].get(2 * m + 1)), floatToBits(w[1].get(2 * m)),
                                      floatToBits(w[1].get(2 * m + 1))};
            mmaTf32(acc[m][q], left, rest);
            mmaTf32(acc[m][q], left, upper);
          }
        }
      }
    }
  }
  if (o >= output.width) return;
  T* y = writable<T>(output.y) + o;
  const bool whole = output.aligned != 0 && o + 8 <= output.width;
#pragma unroll
  for (int half = 0; half < 8; half += 4) {
    Eight<T> old[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (whole) old[i] = loadEight<T, Memory::FRESH>(y + tokens[half + i] * output.stride);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int n = half + i;
      if ((touched >> (8 * (n / 2) + 2 * t + n % 2) & 1) == 0) continue;
      float delta[8];
#pragma unroll
      for (int m = 0; m < 4; m++) {
        delta[2 * m] = acc[m][n / 2][n % 2];
        delta[2 * m + 1] = acc[m][n / 2][2 + n % 2];
      }
      if (whole) {
        storeEight(y + tokens[n] * output.stride, plus(old[i], delta));
      } else {
        addToRow(y - o + tokens[n] * output.stride, o, output.width, false, delta);
      }
    }
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(128, lorikeet::BLOCKS) sgmv_expand_mma_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expandMatrix<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128, lorikeet::BLOCKS) sgmv_expand_mma_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expandMatrix<lorikeet::f16>(args);
}
