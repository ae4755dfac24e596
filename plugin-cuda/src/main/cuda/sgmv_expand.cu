// SGMV expand for few tokens per adapter (decode): y[token] += sum over the token's entries of weight * scaling * B h.
//
// Idea: as in shrink, the weights are the traffic; a tile of at most four tokens owns its rows of y, so that a mixture of several adapters
//   adds up in registers and y is read, rounded and written once.
// Layout: block (tile, 1,024 outputs, target module of the group), 128 threads, each with eight neighbouring outputs. For each run of the tile
//   the block fetches h = A x from the workspace (adding the splits in order, scaling, weighting), then every thread walks the rows of B^T.
// Bytes: sum over runs of rank * out * sizeof(W), plus y twice; h once per 1,024 outputs, from L2.
// Roofline: device memory; eight loads of 16 bytes in flight per thread (the unrolled loop over ranks).
#include "sgmv_vector.cuh"

namespace lorikeet {

constexpr int MAX_SPLITS = 8;

template <typename Y>
__device__ __forceinline__ void expand(const SgmvArgs& args) {
  __shared__ float h[VECTOR_ROWS * MAX_RANK];
  allowNext();
  const Tile tile = pointer<Tile>(args.tiles)[args.firstTile + blockIdx.x];
  const Output& output = args.outputs[blockIdx.z];
  const int firstOutput = static_cast<int>(blockIdx.y * blockDim.x) * 8;
  const int o = firstOutput + static_cast<int>(threadIdx.x) * 8;
  const long long partials = static_cast<long long>(args.entries) * args.rankStride;
  const float* workspace = pointer<float>(args.workspace) + blockIdx.z * args.splits * partials;
  const TileTokens tokens = tokensOf(args, tile);
  const int lastOutput = firstOutput + static_cast<int>(blockDim.x) * 8;
  prefetchTile<Y>(output, tokens, tile.rows, firstOutput, lastOutput);
  if (args.prefetch == PREFETCH_OWN) prefetchFirstOfB(args, tile, output, firstOutput, lastOutput);
  awaitPrevious();

  float acc[VECTOR_ROWS][8] = {};
  unsigned touched = 0;
  for (int i = 0; i < tile.runs; i++) {
    const Run run = pointer<Run>(args.runs)[tile.firstRun + i];
    const Target target = targetOf(args.directory, args.slotStride, run.slot, output.target);
    if (target.rank == 0) continue;
    touched |= run.mask;
    __syncthreads();
    for (int place = threadIdx.x; place < VECTOR_ROWS * target.rank; place += blockDim.x) {
      const int n = place % VECTOR_ROWS;
      const int r = place / VECTOR_ROWS;
      float value = 0;
      if ((run.mask >> n & 1) != 0) {
        const int entry = run.firstEntry + countBits(run.mask & ((1u << n) - 1));
        const float* partial = workspace + static_cast<long long>(entry) * args.rankStride + r;
        const float factor = pointer<float>(args.weights)[entry] * target.scaling;
        float parts[MAX_SPLITS];
#pragma unroll
        for (int s = 0; s < MAX_SPLITS; s++) parts[s] = s < args.splits ? partial[s * partials] : 0;
#pragma unroll
        for (int s = 0; s < MAX_SPLITS; s++) value += parts[s];
        value *= factor;
      }
      h[n * MAX_RANK + r] = value;
    }
    __syncthreads();
    if (o < output.width) expandRowsOfAnyType(target, args.pageShift, tile.rows, run.mask, h, o, acc);
  }
  if (o < output.width) addTile<Y>(output, tokens, touched, o, acc);
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(128) sgmv_expand_f32(const __grid_constant__ lorikeet::SgmvArgs args) { lorikeet::expand<float>(args); }
extern "C" __global__ void __launch_bounds__(128) sgmv_expand_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expand<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128) sgmv_expand_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::expand<lorikeet::f16>(args);
}
