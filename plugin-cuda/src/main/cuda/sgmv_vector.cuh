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
__device__ __forceinline__ RunInputs<X> inputsOf(const SgmvArgs& args, const Run& run) {
  RunInputs<X> inputs;
  inputs.count = countBits(run.mask);
#pragma unroll
  for (int i = 0; i < VECTOR_ROWS; i++) inputs.rows[i] = pointer<X>(args.x) + run.tokens[i] * args.xStride;
  return inputs;
}

// One load of row elements [k, k + 8): WHOLE says that rows are aligned and a multiple of eight long, so that nothing has to be asked.
template <typename X, bool WHOLE>
__device__ __forceinline__ Eight<X> loadInput(const X* row, int k, int length, bool aligned) {
  return WHOLE ? loadEight<X, Memory::FRESH>(row + k) : loadRow(row, k, length, aligned);
}

// acc[r][n] += dot of row (first + r) of A, r < R, with x[n], over U vectors from v in steps of `step`; all loads of weights go out first.
template <typename X, typename W, int R, int N, int U, bool WHOLE>
__device__ __forceinline__ void dotVectors(const FactorRows& a, int first, int last, const X* const* x, int start, int length, bool aligned, int v,
                                           int step, float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  Eight<W> w[U][R];
#pragma unroll
  for (int u = 0; u < U; u++) {
#pragma unroll
    for (int r = 0; r < R; r++) {
      w[u][r] = loadEight<W, Memory::READ_ONCE>(a.at(first + r < last ? first + r : last, 8 * (v + u * step) * static_cast<int>(sizeof(W))));
    }
  }
#pragma unroll
  for (int u = 0; u < U; u++) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      const Eight<X> values = loadInput<X, WHOLE>(x[n] + start, 8 * (v + u * step), length, aligned);
#pragma unroll
      for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int r = 0; r < R; r++) acc[r][n] += w[u][r].get(i) * values.get(i);
      }
    }
  }
}

// The same over the vectors [begin, end) that this thread meets in steps of `step`. Rows beyond the last are read as the last and left for the
// caller to drop. With one or two tokens and 16-bit weights, eight loads of weights are in flight; more tokens bring loads of x instead.
template <typename X, typename W, int R, int N>
__device__ __forceinline__ void dotRows(const FactorRows& a, int first, int last, const X* const* x, int start, int length, bool aligned,
                                        int begin, int end, int step, float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  constexpr int U = sizeof(W) == 2 && N <= 2 ? 2 : 1;
  int v = begin;
  if (sizeof(W) == 2 && aligned && length % 8 == 0) {
    for (; v + (U - 1) * step < end; v += U * step) dotVectors<X, W, R, N, U, true>(a, first, last, x, start, length, true, v, step, acc);
  }
  for (; v < end; v += step) dotVectors<X, W, R, N, 1, false>(a, first, last, x, start, length, aligned, v, step, acc);
}

// The same for the number of tokens at hand and for block-diagonal factors, whose rows cover different features. Split number `split` has `share`
// vectors of each row.
template <typename X, typename W>
__device__ __forceinline__ void shrinkRows(const Target& target, const FactorRows& a, int first, const RunInputs<X>& inputs, bool xAligned,
                                           int split, int share, int lane, int lanes, float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  const int rank = target.rank;
  const int blocks = target.aBlocks;
  const int length = blocks == 1 ? target.aWidth : target.aWidth / blocks;
  const int begin = split * share + lane;
  const int end = min((length + 7) / 8, (split + 1) * share);
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
__device__ __forceinline__ void shrinkRowsOfAnyType(const Target& target, int pageShift, int first, const RunInputs<X>& inputs,
                                                    bool xAligned, int split, int share, int lane, int lanes,
                                                    float (&acc)[SHRINK_ROWS][VECTOR_ROWS]) {
  const FactorRows a = rowsOfA(target, pageShift);
  switch (target.aType) {
    case F32:
      shrinkRows<X, float>(target, a, first, inputs, xAligned, split, share, lane, lanes, acc);
      return;
    case BF16:
      shrinkRows<X, bf16>(target, a, first, inputs, xAligned, split, share, lane, lanes, acc);
      return;
    default:
      shrinkRows<X, f16>(target, a, first, inputs, xAligned, split, share, lane, lanes, acc);
      return;
  }
}

// The sums of token n over the 32 lanes of a warp, four rows side by side, in an order that is always the same.
__device__ __forceinline__ void warpSums(const float (&acc)[SHRINK_ROWS][VECTOR_ROWS], int n, float (&sums)[SHRINK_ROWS]) {
#pragma unroll
  for (int r = 0; r < SHRINK_ROWS; r++) sums[r] = acc[r][n];
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
#pragma unroll
    for (int r = 0; r < SHRINK_ROWS; r++) sums[r] += shuffleXor(sums[r], lanes);
  }
}

// acc[n][i] += h[n][r] * B[r][o + i] over all ranks, for the eight outputs from `o`, a multiple of eight.
// `h` has MAX_RANK floats per row of the tile, scaled already; rows outside the run stay as they are, whatever its weights.
template <typename W, int N, int U>
__device__ __forceinline__ void expandRanks(const FactorRows& b, int r, unsigned mask, const float* h, int o, float (&acc)[VECTOR_ROWS][8]) {
  Eight<W> w[U];
#pragma unroll
  for (int u = 0; u < U; u++) w[u] = loadEight<W, Memory::READ_ONCE>(b.at(r + u, o * static_cast<int>(sizeof(W))));
#pragma unroll
  for (int u = 0; u < U; u++) {
    float wide[8];
#pragma unroll
    for (int i = 0; i < 8; i++) wide[i] = w[u].get(i);
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float factor = h[n * MAX_RANK + r + u];
      const bool uses = N == 1 || (mask >> n & 1) != 0;
#pragma unroll
      for (int i = 0; i < 8; i++) acc[n][i] = uses ? acc[n][i] + factor * wide[i] : acc[n][i];
    }
  }
}

template <typename W, int N>
__device__ __forceinline__ void expandDense(const FactorRows& b, int rank, unsigned mask, const float* h, int o, float (&acc)[VECTOR_ROWS][8]) {
  constexpr int U = 16 / sizeof(W);
  int r = 0;
  if (N == 1) {
    for (; r + 2 * U <= rank; r += 2 * U) expandRanks<W, N, 2 * U>(b, r, mask, h, o, acc);
  }
  for (; r + U <= rank; r += U) expandRanks<W, N, U>(b, r, mask, h, o, acc);
  for (; r < rank; r++) expandRanks<W, N, 1>(b, r, mask, h, o, acc);
}

template <typename W>
__device__ __forceinline__ void expandBlocks(const FactorRows& b, int rank, int blocks, int width, unsigned mask, const float* h, int o,
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
      for (int n = 0; n < VECTOR_ROWS; n++) {
        if ((mask >> n & 1) != 0) acc[n][i] += h[n * MAX_RANK + r] * w;
      }
    }
  }
}

template <typename W>
__device__ __forceinline__ void expandRows(const Target& target, const FactorRows& b, int rows, unsigned mask, const float* h, int o,
                                           float (&acc)[VECTOR_ROWS][8]) {
  if (target.bBlocks != 1) {
    expandBlocks<W>(b, target.rank, target.bBlocks, target.bWidth, mask, h, o, acc);
  } else if (rows == 1) {
    expandDense<W, 1>(b, target.rank, mask, h, o, acc);
  } else if (rows == 2) {
    expandDense<W, 2>(b, target.rank, mask, h, o, acc);
  } else {
    expandDense<W, VECTOR_ROWS>(b, target.rank, mask, h, o, acc);
  }
}

__device__ __forceinline__ void expandRowsOfAnyType(const Target& target, int pageShift, int rows, unsigned mask, const float* h, int o,
                                                    float (&acc)[VECTOR_ROWS][8]) {
  const FactorRows b = rowsOfB(target, pageShift);
  switch (target.bType) {
    case F32:
      expandRows<float>(target, b, rows, mask, h, o, acc);
      return;
    case BF16:
      expandRows<bf16>(target, b, rows, mask, h, o, acc);
      return;
    default:
      expandRows<f16>(target, b, rows, mask, h, o, acc);
      return;
  }
}

// The tokens of a tile, the last one repeated.
struct TileTokens {
  int rows[VECTOR_ROWS];
};
__device__ __forceinline__ TileTokens tokensOf(const SgmvArgs& args, const Tile& tile) {
  TileTokens tokens;
#pragma unroll
  for (int n = 0; n < VECTOR_ROWS; n++) tokens.rows[n] = pointer<int>(args.rows)[tile.firstRow + min(n, tile.rows - 1)];
  return tokens;
}

// Asks for elements [begin, end) of the tile's rows of y, a warp for each row.
template <typename Y>
__device__ __forceinline__ void prefetchTile(const Output& output, const TileTokens& tokens, int rows, int begin, int end) {
  constexpr int LINE = 128 / sizeof(Y);
  const int warp = threadIdx.x / 32;
  if (warp >= rows) return;
  int token = tokens.rows[0];
#pragma unroll
  for (int n = 1; n < VECTOR_ROWS; n++) token = warp == n ? tokens.rows[n] : token;
  const Y* row = pointer<Y>(output.y) + token * output.stride;
  for (int o = begin + static_cast<int>(threadIdx.x % 32) * LINE; o < min(end, output.width); o += 32 * LINE) prefetchToL2(row + o);
}

// Adds the accumulators to the rows of y that a run of this tile changes.
template <typename Y>
__device__ __forceinline__ void addTile(const Output& output, const TileTokens& tokens, unsigned touched, int o, const float (&acc)[VECTOR_ROWS][8]) {
#pragma unroll
  for (int n = 0; n < VECTOR_ROWS; n++) {
    if ((touched >> n & 1) != 0) addToRow(writable<Y>(output.y) + tokens.rows[n] * output.stride, o, output.width, output.aligned != 0, acc[n]);
  }
}

}  // namespace lorikeet
