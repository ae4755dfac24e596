// Fused switch: merged = pristine + sum over shares of weight * scaling * B A, for all target modules of all layers in one launch.
//
// Idea: a merged state is computed from the pristine weights, so a switch reads every weight once and writes it once; the low-rank products ride along.
//   One launch over a list of modules replaces hundreds of small ones (LoRA-Switch, arXiv 2405.17741; SGMM of AdaFuse, arXiv 2603.11873).
// Layout: a block takes one tile of one module, found by a search in the list's running count of tiles. It asks for the tile's weights first and loads them
//   last: so none of them is kept in registers meanwhile, and three blocks of the matrix kernel share a multiprocessor instead of two.
//   fused_switch: any types and block-diagonal factors; tiles of 32 x 256, 256 threads with 4 x 8 results each, factors as float through shared memory.
//   fused_switch_mma: aligned 16-bit weights, a multiple of eight wide, and dense factors of one type; tiles of 64 x 256, 4 warps of 64 x 64. Both operands of mma.m16n8k16 have the rank as
//   their outer dimension, so pairs of rows are zipped with byte permutations; rows and columns are permuted so that loads of A and of the weights are
//   vectors of 16 bytes. Each product of 16 ranks starts from zero and is added with its share's weight in float.
// Bytes: 2 * out * in * sizeof(W) per module, plus A once per 32 or 64 rows and B once per 256 columns, from L2. Flops: 2 * sum of ranks per weight.
// Roofline: with 16-bit weights and a sum of ranks of 32, 16 flops per byte: device memory on tensor cores, close to the float units' limit without.
#include "elements.cuh"
#include "layout.cuh"

namespace lorikeet {

constexpr int SWITCH_OUT = 32;
constexpr int SWITCH_MMA_OUT = 64;
constexpr int SWITCH_IN = 256;
constexpr int SWITCH_RANKS = 16;
constexpr int SWITCH_THREADS = 256;
// Blocks of the matrix kernel that a multiprocessor shall hold at once; more cost spilled registers.
constexpr int SWITCH_MMA_BLOCKS = MACHINE >= 100 ? 2 : 3;

// The last module whose first tile is at most this block's: each warp searches in 32 ways, two loads one after the other for 1,024 modules.
__device__ __forceinline__ SwitchModule moduleOf(const SwitchArgs& args) {
  const SwitchModule* modules = pointer<SwitchModule>(args.modules);
  const int lane = threadIdx.x % 32;
  int low = 0;
  int count = args.moduleCount;
  while (count > 1) {
    const int step = (count + 31) / 32;
    const int probe = lane * step;
    const bool begins = probe < count && modules[low + min(probe, count - 1)].firstTile <= static_cast<int>(blockIdx.x);
    const int last = countBits(ballot(begins)) - 1;
    low += last * step;
    count = min(step, count - last * step);
  }
  return modules[low];
}

// Asks for all of a tile's weights, which are needed last.
template <typename T, int ROWS>
__device__ __forceinline__ void prefetchTile(const SwitchModule& module, int firstRow, int firstColumn) {
  constexpr int LINE = 128 / sizeof(T);
  constexpr int LINES = SWITCH_IN / LINE;
  for (int place = threadIdx.x; place < ROWS * LINES; place += blockDim.x) {
    const int row = firstRow + place / LINES;
    const int in = firstColumn + place % LINES * LINE;
    if (row < module.out && in < module.in) prefetchToL2(pointer<T>(module.pristine) + row * module.pristineStride + in);
  }
}

// Copies a tile bit for bit, several vectors of eight at a time. WHOLE says that rows are aligned and a multiple of eight long.
template <typename T, bool WHOLE>
__device__ __forceinline__ void copyTile(const SwitchModule& module, int firstRow, int rows, int firstColumn) {
  constexpr int COLUMNS = SWITCH_IN / 8;
  constexpr int FLIGHT = 16 / sizeof(T);
  const bool aligned = module.aligned != 0;
  for (int first = threadIdx.x; first < rows * COLUMNS; first += FLIGHT * blockDim.x) {
    Eight<T> eight[FLIGHT];
#pragma unroll
    for (int i = 0; i < FLIGHT; i++) {
      const int place = first + i * static_cast<int>(blockDim.x);
      const int row = firstRow + place / COLUMNS;
      const int column = firstColumn + place % COLUMNS * 8;
      const T* from = pointer<T>(module.pristine) + min(row, module.out - 1) * module.pristineStride;
      const int inside = column < module.in ? column : 0;
      eight[i] = WHOLE ? loadEight<T, Memory::READ_ONCE>(from + inside) : loadRow(from, inside, module.in, aligned);
    }
#pragma unroll
    for (int i = 0; i < FLIGHT; i++) {
      const int place = first + i * static_cast<int>(blockDim.x);
      const int row = firstRow + place / COLUMNS;
      const int column = firstColumn + place % COLUMNS * 8;
      if (place >= rows * COLUMNS || row >= module.out || column >= module.in) continue;
      T* to = writable<T>(module.merged) + row * module.mergedStride;
      if (WHOLE) {
        storeEight(to + column, eight[i]);
      } else {
        storeRow(to, column, module.in, aligned, eight[i]);
      }
    }
  }
}

// Element (row, feature) of a block-diagonal factor as if it were dense, in float.
template <typename W>
__device__ __forceinline__ float denseAt(const FactorRows& rows, int rank, int width, int blocks, int row, int feature) {
  const int length = width / blocks;
  const int k = feature - row / (rank / blocks) * length;
  if (row >= rank || k < 0 || k >= length) return 0;
  return widen(*reinterpret_cast<const W*>(rows.at(row, k * static_cast<int>(sizeof(W)))));
}

// Where column c of a row of A stands in shared memory: first the first halves of all vectors of eight, then the second ones, so that 32 lanes that read
// their halves meet in no bank.
__device__ __forceinline__ int placeOfColumn(int c) { return c / 4 % 2 * (SWITCH_IN / 2) + c / 8 * 4 + c % 4; }

// Brings columns [first, first + WIDTH) of SWITCH_RANKS rows of a factor to shared memory, times `factor`, zeros where there are none.
template <typename W, int WIDTH, bool SPLIT>
__device__ __forceinline__ void stage(const FactorRows& rows, int rank, int width, int blocks, int firstRow, int first, float factor,
                                      float (&to)[SWITCH_RANKS][WIDTH]) {
  constexpr int VECTORS = WIDTH / 8;
  if (blocks != 1) {
    for (int place = threadIdx.x; place < SWITCH_RANKS * WIDTH; place += blockDim.x) {
      const int c = place % WIDTH;
      to[place / WIDTH][SPLIT ? placeOfColumn(c) : c] = factor * denseAt<W>(rows, rank, width, blocks, firstRow + place / WIDTH, first + c);
    }
    return;
  }
#pragma unroll 1
  for (int begin = 0; begin < SWITCH_RANKS * VECTORS; begin += SWITCH_THREADS) {
    const int place = begin + static_cast<int>(threadIdx.x);
    if (place >= SWITCH_RANKS * VECTORS) break;
    const int r = place / VECTORS;
    const int c = place % VECTORS * 8;
    // Rows are padded with zeros to whole vectors; what lies outside is read from inside and cleared.
    const bool inside = firstRow + r < rank && first + c < width;
    Eight<W> eight = loadEight<W, Memory::READ_ONLY>(rows.at(min(firstRow + r, rank - 1), inside ? (first + c) * static_cast<int>(sizeof(W)) : 0));
    clearUnless(inside, eight);
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
      unsigned bits[4];
#pragma unroll
      for (int j = 0; j < 4; j++) bits[j] = floatToBits(factor * eight.get(i + j));
      *reinterpret_cast<uint4*>(&to[r][SPLIT ? placeOfColumn(c + i) : c + i]) = make_uint4(bits[0], bits[1], bits[2], bits[3]);
    }
  }
}

template <int WIDTH, bool SPLIT>
__device__ __forceinline__ void stageAnyType(const FactorRows& rows, int type, int rank, int width, int blocks, int firstRow, int first, float factor,
                                             float (&to)[SWITCH_RANKS][WIDTH]) {
  switch (type) {
    case F32:
      stage<float, WIDTH, SPLIT>(rows, rank, width, blocks, firstRow, first, factor, to);
      return;
    case BF16:
      stage<bf16, WIDTH, SPLIT>(rows, rank, width, blocks, firstRow, first, factor, to);
      return;
    default:
      stage<f16, WIDTH, SPLIT>(rows, rank, width, blocks, firstRow, first, factor, to);
      return;
  }
}

template <typename T>
__device__ __forceinline__ void switchAny(const SwitchArgs& args) {
  alignas(16) __shared__ float a[SWITCH_RANKS][SWITCH_IN];
  alignas(16) __shared__ float b[SWITCH_RANKS][SWITCH_OUT];
  const SwitchModule module = moduleOf(args);
  const int columns = (module.in + SWITCH_IN - 1) / SWITCH_IN;
  const int tile = static_cast<int>(blockIdx.x) - module.firstTile;
  const int firstRow = tile / columns * SWITCH_OUT;
  const int firstColumn = tile % columns * SWITCH_IN;
  if (module.changes == 0) {
    copyTile<T, false>(module, firstRow, SWITCH_OUT, firstColumn);
    return;
  }
  const int row = static_cast<int>(threadIdx.x) / 32 * 4;
  const int lane = threadIdx.x % 32;
  const int in = firstColumn + lane * 8;
  prefetchTile<T, SWITCH_OUT>(module, firstRow, firstColumn);
  float acc[4][8] = {};
  for (int s = 0; s < args.shares; s++) {
    const Target target = targetOf(args.directory, args.slotStride, pointer<int>(args.slots)[s], module.target);
    const int rank = target.rank;
    const float factor = rank == 0 ? 0 : pointer<float>(args.weights)[s] * target.scaling;
    const FactorRows rowsA = rowsOfA(target, args.pageShift);
    const FactorRows rowsB = rowsOfB(target, args.pageShift);
    for (int first = 0; first < rank; first += SWITCH_RANKS) {
      __syncthreads();
      stageAnyType<SWITCH_IN, true>(rowsA, target.aType, rank, target.aWidth, target.aBlocks, first, firstColumn, 1, a);
      stageAnyType<SWITCH_OUT, false>(rowsB, target.bType, rank, target.bWidth, target.bBlocks, first, firstRow, factor, b);
      __syncthreads();
#pragma unroll 4
      for (int r = 0; r < SWITCH_RANKS; r++) {
        float values[8];
#pragma unroll
        for (int i = 0; i < 8; i++) values[i] = a[r][i / 4 * (SWITCH_IN / 2) + lane * 4 + i % 4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
          for (int i = 0; i < 8; i++) acc[j][i] += b[r][row + j] * values[i];
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const int out = firstRow + row + j;
    if (out >= module.out || in >= module.in) continue;
    const bool aligned = module.aligned != 0;
    const Eight<T> pristine = loadRow(pointer<T>(module.pristine) + out * module.pristineStride, in, module.in, aligned);
    storeRow(writable<T>(module.merged) + out * module.mergedStride, in, module.in, aligned, plus(pristine, acc[j]));
  }
}

__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bf16) { mmaBf16(c, a, b); }
__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], f16) { mmaF16(c, a, b); }

// The lower (upper) halves of two words side by side: one element of two neighbouring ranks.
__device__ __forceinline__ unsigned zipLow(unsigned even, unsigned odd) { return pickBytes(even, odd, 0x5410); }
__device__ __forceinline__ unsigned zipHigh(unsigned even, unsigned odd) { return pickBytes(even, odd, 0x7632); }

__device__ __forceinline__ void clearUnless(bool keep, uint2& pair) {
  pair.x = keep ? pair.x : 0;
  pair.y = keep ? pair.y : 0;
}

template <typename T>
__device__ __forceinline__ void switchMatrix(const SwitchArgs& args) {
  const SwitchModule module = moduleOf(args);
  const int columns = (module.in + SWITCH_IN - 1) / SWITCH_IN;
  const int tile = static_cast<int>(blockIdx.x) - module.firstTile;
  const int firstRow = tile / columns * SWITCH_MMA_OUT;
  const int firstColumn = tile % columns * SWITCH_IN;
  if (module.changes == 0) {
    copyTile<T, true>(module, firstRow, SWITCH_MMA_OUT, firstColumn);
    return;
  }
  prefetchTile<T, SWITCH_MMA_OUT>(module, firstRow, firstColumn);
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int base = firstColumn + static_cast<int>(threadIdx.x) / 32 * 64;
  // Column g of a right operand comes back in lane t = g / 2: dealt so that four neighbouring lanes write 64 contiguous bytes, whole sectors.
  const int loadColumn = base + 8 * (g / 2 + 4 * (g % 2));
  const int writeColumn = base + 8 * t;
  // Two passes over four of each group of eight rows keep the accumulators at 64.
#pragma unroll 1
  for (int pass = 0; pass < 2; pass++) {
    const int row = firstRow + 8 * g + 4 * pass;
    float acc[2][8][4] = {};
    for (int s = 0; s < args.shares; s++) {
      const Target target = targetOf(args.directory, args.slotStride, pointer<int>(args.slots)[s], module.target);
      const int rank = target.rank;
      const float factor = rank == 0 ? 0 : pointer<float>(args.weights)[s] * target.scaling;
      const FactorRows rowsA = rowsOfA(target, args.pageShift);
      const FactorRows rowsB = rowsOfB(target, args.pageShift);
      for (int first = 0; first < rank; first += SWITCH_RANKS) {
        unsigned left[2][4];
        unsigned right[8][2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
          uint2 b[2];
          Eight<T> a[2];
#pragma unroll
          for (int odd = 0; odd < 2; odd++) {
            const int r = first + 8 * half + 2 * t + odd;
            // What lies outside is read from inside, so that no branch comes between the loads: ranks are cleared, rows and columns never written.
            const int inside = r < rank ? r : rank - 1;
            b[odd] = loadReadOnly(reinterpret_cast<const uint2*>(rowsB.at(inside, row < module.out ? 2 * row : 0)));
            a[odd] = loadEight<T, Memory::READ_ONLY>(rowsA.at(inside, loadColumn < module.in ? 2 * loadColumn : 0));
            clearUnless(r < rank, b[odd]);
            clearUnless(r < rank, a[odd]);
          }
          left[0][2 * half] = zipLow(b[0].x, b[1].x);
          left[0][2 * half + 1] = zipHigh(b[0].x, b[1].x);
          left[1][2 * half] = zipLow(b[0].y, b[1].y);
          left[1][2 * half + 1] = zipHigh(b[0].y, b[1].y);
#pragma unroll
          for (int n = 0; n < 8; n += 2) {
            right[n][half] = zipLow(a[0].words[n / 2], a[1].words[n / 2]);
            right[n + 1][half] = zipHigh(a[0].words[n / 2], a[1].words[n / 2]);
          }
        }
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
          for (int n = 0; n < 8; n++) {
            float product[4] = {};
            multiply(product, left[m], right[n], T{});
#pragma unroll
            for (int i = 0; i < 4; i++) acc[m][n][i] += factor * product[i];
          }
        }
      }
    }
    Eight<T> pristine[4][2];
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int side = 0; side < 2; side++) {
        const int in = writeColumn + 32 * side;
        pristine[j][side] = loadEight<T, Memory::READ_ONCE>(pointer<T>(module.pristine) + min(row + j, module.out - 1) * module.pristineStride + (in < module.in ? in : 0));
      }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int side = 0; side < 2; side++) {
        const int in = writeColumn + 32 * side;
        if (row + j >= module.out || in >= module.in) continue;
        float delta[8];
#pragma unroll
        for (int i = 0; i < 8; i++) delta[i] = acc[j / 2][i][j % 2 * 2 + side];
        storeEight(writable<T>(module.merged) + (row + j) * module.mergedStride + in, plus(pristine[j][side], delta));
      }
    }
  }
}

}  // namespace lorikeet

extern "C" __global__ void __launch_bounds__(256) fused_switch_f32(const __grid_constant__ lorikeet::SwitchArgs args) { lorikeet::switchAny<float>(args); }
extern "C" __global__ void __launch_bounds__(256) fused_switch_bf16(const __grid_constant__ lorikeet::SwitchArgs args) {
  lorikeet::switchAny<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(256) fused_switch_f16(const __grid_constant__ lorikeet::SwitchArgs args) {
  lorikeet::switchAny<lorikeet::f16>(args);
}
extern "C" __global__ void __launch_bounds__(128, lorikeet::SWITCH_MMA_BLOCKS) fused_switch_mma_bf16(const __grid_constant__ lorikeet::SwitchArgs args) {
  lorikeet::switchMatrix<lorikeet::bf16>(args);
}
extern "C" __global__ void __launch_bounds__(128, lorikeet::SWITCH_MMA_BLOCKS) fused_switch_mma_f16(const __grid_constant__ lorikeet::SwitchArgs args) {
  lorikeet::switchMatrix<lorikeet::f16>(args);
}
