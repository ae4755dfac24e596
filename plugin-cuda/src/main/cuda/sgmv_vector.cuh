// The two halves of SGMV for few rows, without tensor cores; shared by sgmv_shrink, sgmv_expand and sgmv_fused.
#pragma once
#include "elements.cuh"
#include "layout.cuh"

namespace lorikeet {

// The rows of A that one warp or block takes at a time: each brings one load in flight per thread, and x is read once for all of them.
constexpr int SHRINK_ROWS = 4;

// The tokens of one run: the first N places hold its rows of x, the last one repeated.
template <typename X>
struct RunInputs {
  const X* rows[VECTOR_ROWS];
  int count;
};

template <typename X>
__device__ __forceinline__ RunInputs<X> inputsOf(const SgmvArgs& args, const Tile& tile, unsigned mask) {
  RunInputs<X> inputs;
  inputs.count = countBits(mask);
  const int* tokens = pointer<int>(args.rows) + tile.firstRow;
  unsigned left = mask;
#pragma unroll
  for (int i = 0; i < VECTOR_ROWS; i++) {
    const int place = lowestBit(left);
    inputs.rows[i] = pointer<X>(args.x) + tokens[place] * args.xStride;
    const unsigned next = left & (left - 1);
    left = next == 0 ? left : next;
  }
  return inputs;
}

// acc[r][n] += dot of row (first + r) of A, r < R, with x[n], over the vectors [begin, end) that this thread meets in steps of `step`.
// Rows beyond the last are read as the last and left for the caller to drop.
template <typename X, typename W, int R, int N>
__device__ __forceinline__ void dotRows(const FactorRows& a, int first, int last, const X* const* x, int start, int length, bool aligned,
                                        int begin, int end, int step, float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  // Eight loads of weights in flight; more tokens bring loads of x instead.
  constexpr int UNROLL = sizeof(W) * N <= 4 ? 2 : 1;
#pragma unroll UNROLL
  for (int v = begin; v < end; v += step) {
    const int k = 8 * v;
    Eight<W> w[R];
#pragma unroll
    for (int r = 0; r < R; r++) w[r] = loadEight<W>(a.at(first + r < last ? first + r : last, k * static_cast<int>(sizeof(W))));
#pragma unroll
    for (int n = 0; n < N; n++) {
      const Eight<X> values = loadRow(x[n] + start, k, length, aligned);
#pragma unroll
      for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int r = 0; r < R; r++) acc[r][n] += w[r].get(i) * values.get(i);
      }
    }
  }
}

// The same for the number of tokens at hand and for block-diagonal factors, whose rows cover different features.
template <typename X, typename W>
__device__ __forceinline__ void shrinkRows(const TargetRecord* record, const FactorRows& a, int first, const RunInputs<X>& inputs, bool xAligned,
                                           int split, int splits, int lane, int lanes, float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  const int rank = record->rank;
  const int blocks = record->aBlocks;
  const int length = record->aWidth / blocks;
  const int vectors = (length + 7) / 8;
  // Whole passes of all lanes, so that no split ends in a pass of a few.
  const int share = ((vectors + splits - 1) / splits + lanes - 1) / lanes * lanes;
  const int begin = split * share + lane;
  const int end = min(vectors, (split + 1) * share);
  if (blocks == 1) {
    switch (inputs.count) {
      case 1:
        dotRows<X, W, SHRINK_ROWS, 1>(a, first, rank - 1, inputs.rows, 0, length, xAligned, begin, end, lanes, acc);
        return;
      case 2:
        dotRows<X, W, SHRINK_ROWS, 2>(a, first, rank - 1, inputs.rows, 0, length, xAligned, begin, end, lanes, acc);
        return;
      default:
        dotRows<X, W, SHRINK_ROWS, VECTOR_ROWS>(a, first, rank - 1, inputs.rows, 0, length, xAligned, begin, end, lanes, acc);
        return;
    }
  }
  for (int r = 0; r < SHRINK_ROWS && first + r < rank; r++) {
    const int start = (first + r) / (rank / blocks) * length;
    float one[SHRINK_ROWS][VECTOR_ROWS] = {};
    dotRows<X, W, 1, VECTOR_ROWS>(a, first + r, rank - 1, inputs.rows, start, length, xAligned && start % 8 == 0, begin, end, lanes, one);
#pragma unroll
    for (int place = 0; place < SHRINK_ROWS; place++) {
#pragma unroll
      for (int n = 0; n < VECTOR_ROWS; n++) acc[place][n] = place == r ? one[0][n] : acc[place][n];
    }
  }
}

template <typename X>
__device__ __forceinline__ void shrinkRowsOfAnyType(const TargetRecord* record, int pageShift, int first, const RunInputs<X>& inputs,
                                                    bool xAligned, int split, int splits, int lane, int lanes,
                                                    float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  const FactorRows a = rowsOfA(record, pageShift);
  switch (record->aType) {
    case F32:
      shrinkRows<X, float>(record, a, first, inputs, xAligned, split, splits, lane, lanes, acc);
      return;
    case BF16:
      shrinkRows<X, bf16>(record, a, first, inputs, xAligned, split, splits, lane, lanes, acc);
      return;
    default:
      shrinkRows<X, f16>(record, a, first, inputs, xAligned, split, splits, lane, lanes, acc);
      return;
  }
}

// The sum over the 32 lanes of a warp, in an order that is always the same.
__device__ __forceinline__ float warpSum(float value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += shuffleXor(value, lanes);
  return value;
}

// acc[n][i] += h[n][r] * B[r][o + i] over all ranks, for the eight outputs from `o`, a multiple of eight.
// `h` has MAX_RANK floats per row of the tile, scaled already, zeros for rows outside the run.
template <typename W, int N>
__device__ __forceinline__ void expandDense(const FactorRows& b, int rank, const float* h, int o, float (&acc)[VECTOR_ROWS][8]) {
  constexpr int UNROLL = 16 / sizeof(W);
#pragma unroll UNROLL
  for (int r = 0; r < rank; r++) {
    const Eight<W> w = loadEight<W>(b.at(r, o * static_cast<int>(sizeof(W))));
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float factor = h[n * MAX_RANK + r];
#pragma unroll
      for (int i = 0; i < 8; i++) acc[n][i] += factor * w.get(i);
    }
  }
}

template <typename W>
__device__ __forceinline__ void expandBlocks(const FactorRows& b, int rank, int blocks, int width, const float* h, int o,
                                             float (&acc)[VECTOR_ROWS][8]) {
  const int length = width / blocks;
  const int ranks = rank / blocks;
  const int firstBlock = o / length;
  const int lastBlock = min((o + 7) / length, blocks - 1);
  for (int r = firstBlock * ranks; r < (lastBlock + 1) * ranks; r++) {
    const int start = r / ranks * length;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int k = o + i - start;
      if (k < 0 || k >= length) continue;
      const float w = widen(*reinterpret_cast<const W*>(b.at(r, k * static_cast<int>(sizeof(W)))));
#pragma unroll
      for (int n = 0; n < VECTOR_ROWS; n++) acc[n][i] += h[n * MAX_RANK + r] * w;
    }
  }
}

template <typename W>
__device__ __forceinline__ void expandRows(const TargetRecord* record, const FactorRows& b, int rows, const float* h, int o,
                                           float (&acc)[VECTOR_ROWS][8]) {
  if (record->bBlocks != 1) {
    expandBlocks<W>(b, record->rank, record->bBlocks, record->bWidth, h, o, acc);
  } else if (rows == 1) {
    expandDense<W, 1>(b, record->rank, h, o, acc);
  } else if (rows == 2) {
    expandDense<W, 2>(b, record->rank, h, o, acc);
  } else {
    expandDense<W, VECTOR_ROWS>(b, record->rank, h, o, acc);
  }
}

__device__ __forceinline__ void expandRowsOfAnyType(const TargetRecord* record, int pageShift, int rows, const float* h, int o,
                                                    float (&acc)[VECTOR_ROWS][8]) {
  const FactorRows b = rowsOfB(record, pageShift);
  switch (record->bType) {
    case F32:
      expandRows<float>(record, b, rows, h, o, acc);
      return;
    case BF16:
      expandRows<bf16>(record, b, rows, h, o, acc);
      return;
    default:
      expandRows<f16>(record, b, rows, h, o, acc);
      return;
  }
}

// Adds the accumulators to the rows of y that a run of this tile changes.
template <typename Y>
__device__ __forceinline__ void addTile(const SgmvArgs& args, const Output& output, const Tile& tile, unsigned touched, int o,
                                        const float (&acc)[VECTOR_ROWS][8]) {
  const int* tokens = pointer<int>(args.rows) + tile.firstRow;
#pragma unroll
  for (int n = 0; n < VECTOR_ROWS; n++) {
    if ((touched >> n & 1) != 0) {
      addToRow(writable<Y>(output.y) + tokens[n] * output.stride, o, output.width, output.aligned != 0, acc[n]);
    }
  }
}

}  // namespace lorikeet
