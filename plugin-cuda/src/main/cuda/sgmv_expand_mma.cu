// SGMV expand on tensor cores, for adapters with many tokens: y[token] += sum over the token's entries of weight * scaling * B h.
//
// Idea: y^T tile = B (out x rank) times h^T (rank x tokens) with mma.m16n8k8 in tf32. bf16 and f16 weights are exact in tf32; h is float and goes in as two
//   tf32 numbers, its upper 11 bits and the rest, so that the product keeps 22 bits: h is never rounded to the weights' type.
//   Outputs may be permuted freely: thread (g, t) loads 16 contiguous bytes of row t (and t + 4) of B^T, the outputs 8g..8g+7, which are
//   one row of each of four left operands; the accumulators then hold those eight neighbouring outputs, and y is updated in vectors of 16 bytes.
// Layout: block (tile of up to 32 tokens x 256 outputs, 1, target module), 4 warps of 64 outputs x 32 tokens, 64 accumulators a thread. h comes through
//   shared memory 32 ranks at a time, in rows of 36 floats (conflict-free). All runs of the tile add up before y is touched.
// Bytes: y twice, B once per 32 tokens, the latter from L2. Flops: 2 * 2 * 32 * rank per output.
// Roofline: memory (y). Only for dense adapters of the activations' type; others take the vector path.
#include "elements.cuh"
#include "layout.cuh"

namespace lorikeet {

constexpr int CHUNK = 32;
constexpr int PITCH = CHUNK + 4;

template <typename T>
__device__ __forceinline__ void expandMatrix(const SgmvArgs& args) {
  __shared__ float high[MATRIX_ROWS][PITCH];
  __shared__ float low[MATRIX_ROWS][PITCH];
  allowNext();
  const Tile tile = pointer<Tile>(args.tiles)[args.firstTile + blockIdx.x / args.outGroups];
  const Output& output = args.outputs[blockIdx.z];
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int o = static_cast<int>(blockIdx.x % args.outGroups) * 256 + static_cast<int>(threadIdx.x / 32) * 64 + 8 * g;
  const long long partials = static_cast<long long>(args.entries) * args.rankStride;
  const float* workspace = pointer<float>(args.workspace) + blockIdx.z * args.splits * partials;

  if ((args.prefetch & PREFETCH_OWN) != 0) {
    const int begin = static_cast<int>(blockIdx.x % args.outGroups) * 256;
    prefetchFirstOfB(args, tile, output, begin, begin + 256);
  }
  awaitPrevious();

  float acc[4][4][4] = {};
  unsigned touched = 0;
  for (int i = 0; i < tile.runs; i++) {
    const Run run = pointer<Run>(args.runs)[tile.firstRun + i];
    const TargetRecord* record = recordOf(args.directory, args.slotStride, run.slot, output.target);
    const int rank = record->rank;
    if (rank == 0) continue;
    touched |= run.mask;
    const FactorRows b = rowsOfB(record, args.pageShift);
    for (int first = 0; first < rank; first += CHUNK) {
      __syncthreads();
      for (int place = threadIdx.x; place < MATRIX_ROWS * CHUNK; place += blockDim.x) {
        const int n = place / CHUNK;
        const int r = place % CHUNK;
        float value = 0;
        if ((run.mask >> n & 1) != 0 && first + r < rank) {
          const int entry = run.firstEntry + countBits(run.mask & ((1u << n) - 1));
          const float* partial = workspace + static_cast<long long>(entry) * args.rankStride + first + r;
          for (int s = 0; s < args.splits; s++) value += partial[s * partials];
          value *= pointer<float>(args.weights)[entry] * record->scaling;
        }
        const unsigned bits = floatToBits(value);
        const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
        // Cutting a NaN's low bits could make it an infinity, and infinity minus itself is NaN: those go in whole.
        const float upper = finite ? bitsToFloat(bits & 0xffffe000u) : value != value ? bitsToFloat(0x7fc00000u) : value;
        high[n][r] = upper;
        low[n][r] = finite ? value - upper : 0;
      }
      __syncthreads();
      const int ranks = min(CHUNK, rank - first);
#pragma unroll 2
      for (int k = 0; k < ranks; k += 8) {
        Eight<T> w[2];
#pragma unroll
        for (int j = 0; j < 2; j++) {
          const int row = first + k + 4 * j + t;
          w[j] = loadEight<T>(b.at(min(row, rank - 1), o < output.width ? 2 * o : 0));
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
  const int* tokens = pointer<int>(args.rows) + tile.firstRow;
#pragma unroll
  for (int q = 0; q < 4; q++) {
#pragma unroll
    for (int side = 0; side < 2; side++) {
      const int n = 8 * q + 2 * t + side;
      if ((touched >> n & 1) == 0) continue;
      float delta[8];
#pragma unroll
      for (int m = 0; m < 4; m++) {
        delta[2 * m] = acc[m][q][side];
        delta[2 * m + 1] = acc[m][q][2 + side];
      }
      addToRow(writable<T>(output.y) + tokens[n] * output.stride, o, output.width, output.aligned != 0, delta);
    }
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(128) sgmv_expand_mma_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expandMatrix<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128) sgmv_expand_mma_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expandMatrix<lorikeet::f16>(args);
}
