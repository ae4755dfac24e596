// SGMV shrink and expand in one launch, for decode batches with enough tiles to fill the device by themselves.
//
// Idea: apart, the two halves cost two launches, and the second waits for the slowest block of the first. One block can do both for
//   its tile, with h = A x in shared memory, when there are at least as many tiles as multiprocessors; with fewer, the halves apart spread one
//   adapter over many blocks and win. The host chooses.
// Layout: block (tile, 1, target module of the group), 256 threads. First each warp takes groups of 4 rows of A over all features; after one
//   barrier each thread walks the rows of B^T for eight neighbouring outputs at a time. At most FUSED_RUNS adapters per tile.
// Bytes: sum over runs of rank * (in + out) * sizeof(W), plus x and y; no workspace.
// Roofline: device memory; a block keeps 256 threads x 8 loads of 16 bytes (32 KiB) in flight in both halves.
#include "sgmv_vector.cuh"

namespace lorikeet {

template <typename X>
__device__ __forceinline__ void fused(const SgmvArgs& args) {
  __shared__ float h[FUSED_RUNS][VECTOR_ROWS * MAX_RANK];
  const Tile tile = pointer<Tile>(args.tiles)[args.firstTile + blockIdx.x];
  const Output& output = args.outputs[blockIdx.z];
  const Run* runs = pointer<Run>(args.runs) + tile.firstRun;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warps = blockDim.x / 32;

  unsigned touched = 0;
  for (int i = 0; i < tile.runs; i++) {
    const Run run = runs[i];
    const TargetRecord* record = recordOf(args.directory, args.slotStride, run.slot, output.target);
    const int rank = record->rank;
    if (rank == 0) continue;
    touched |= run.mask;
    const RunInputs<X> inputs = inputsOf<X>(args, tile, run.mask);
    for (int first = warp * SHRINK_ROWS; first < rank; first += warps * SHRINK_ROWS) {
      float acc[SHRINK_ROWS][VECTOR_ROWS] = {};
      shrinkRowsOfAnyType<X>(record, args.pageShift, first, inputs, args.xAligned != 0, 0, 1, lane, 32, acc);
#pragma unroll
      for (int n = 0; n < VECTOR_ROWS; n++) {
#pragma unroll
        for (int r = 0; r < SHRINK_ROWS; r++) acc[r][n] = warpSum(acc[r][n]);
      }
      if (lane < VECTOR_ROWS) {
        const bool present = (run.mask >> lane & 1) != 0;
        const int place = countBits(run.mask & ((1u << lane) - 1));
        const float factor = present ? pointer<float>(args.weights)[run.firstEntry + place] * record->scaling : 0;
#pragma unroll
        for (int r = 0; r < SHRINK_ROWS; r++) {
          float value = 0;
#pragma unroll
          for (int n = 0; n < VECTOR_ROWS; n++) value = n == place ? acc[r][n] : value;
          if (first + r < rank) h[i][lane * MAX_RANK + first + r] = present ? value * factor : 0;
        }
      }
    }
  }
  __syncthreads();
  if (touched == 0) return;
  for (int o = 8 * static_cast<int>(threadIdx.x); o < output.width; o += 8 * static_cast<int>(blockDim.x)) {
    float acc[VECTOR_ROWS][8] = {};
    for (int i = 0; i < tile.runs; i++) {
      const TargetRecord* record = recordOf(args.directory, args.slotStride, runs[i].slot, output.target);
      if (record->rank != 0) expandRowsOfAnyType(record, args.pageShift, tile.rows, h[i], o, acc);
    }
    addTile<X>(args, output, tile, touched, o, acc);
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(256, 1) sgmv_fused_f32(const __grid_constant__ lorikeet::SgmvArgs args) { lorikeet::fused<float>(args); }
extern "C" __global__ void __launch_bounds__(256, 1) sgmv_fused_bf16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::fused<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(256, 1) sgmv_fused_f16(const __grid_constant__ lorikeet::SgmvArgs args) {
  lorikeet::fused<lorikeet::f16>(args);
}
