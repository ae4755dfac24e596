// What the host writes and kernels read. The same layouts, with the same names, stand in dev.lorikeet.cuda.Layouts;
// a test holds both to each other.
//
// Adapters. The rows of an adapter's factors are packed one after another into a linear space that is cut into pages, and a page may lie
// anywhere in device memory: byte b of the space is at pages[b >> pageShift] + (b & pageMask). Rows begin at multiples of 16 bytes (32 for
// float) and are padded with zeros to eight elements, so that a vector of eight never crosses a page and never needs a bound.
//
// Batches. Rows (tokens) are sorted by adapter and cut into tiles of at most VECTOR_ROWS or MATRIX_ROWS; a run is one adapter's part of one tile.
// A tile owns its rows of y, so that a token's mixture adds up in registers, is rounded once, and needs no atomics: the same
// call gives the same bits.
#pragma once
#include <cstring>

#include "elements.cuh"
#include "platform.cuh"

namespace lorikeet {

constexpr int MAX_RANK = 256;
constexpr int MAX_TARGETS = 7;
constexpr int VECTOR_ROWS = 4;
constexpr int MATRIX_ROWS = 32;
constexpr int FUSED_RUNS = 4;

// B while A is read.
constexpr int PREFETCH_B = 1;
// What a block will read first, while the launch before is still at work: up to AHEAD_BYTES, which is what memory delivers in that time.
constexpr int PREFETCH_OWN = 2;
constexpr int AHEAD_BYTES = 32 * 1024;

// The two factors of one adapter for one target module. `rank` is 0 where the adapter does not change the module.
struct TargetFields {
  unsigned long long aPages;  // address of A's page list, 0 if its pages are nearPages[0..4)
  unsigned long long bPages;  // address of B's page list, 0 if its pages are nearPages[4..8)
  unsigned aOffset;           // byte of A's first row in its first page
  unsigned bOffset;
  int aStride;  // bytes from row to row
  int bStride;
  int rank;
  int aType;
  int aWidth;  // features of a dense row
  int bWidth;
  int aBlocks;
  int bBlocks;
  float scaling;
  int bType;
};
struct alignas(16) TargetRecord : TargetFields {
  unsigned long long nearPages[8];
};
static_assert(sizeof(TargetFields) == 64 && sizeof(TargetRecord) == 128, "one record is one cache line");

// A record at hand: its fields in registers.
struct Target : TargetFields {
  const unsigned long long* nearPages;
};

struct alignas(16) Tile {
  int firstRow;
  int rows;
  int firstRun;
  int runs;
};

struct alignas(16) Run {
  int slot;        // the adapter's place in the directory
  int firstEntry;  // entries of a run are numbered in the order of its rows
  unsigned mask;   // which rows of the tile use this adapter
  int tile;
  int tokens[VECTOR_ROWS];  // of the first entries, the last one repeated
};

struct Output {
  unsigned long long y;
  long long stride;  // elements
  int width;
  int target;
  int aligned;
  int unused;
};

struct SgmvArgs {
  unsigned long long x;
  unsigned long long directory;  // TargetRecord [slots][slotStride]
  unsigned long long tiles;
  unsigned long long runs;
  unsigned long long rows;       // int per row of a tile: the token
  unsigned long long weights;    // float per entry
  unsigned long long workspace;  // float [targets][splits][entries][rankStride]: A x
  long long xStride;             // elements
  int in;
  int slotStride;
  int pageShift;
  int rankStride;
  int splits;      // parts that a shrink cuts the features into, a power of two
  int splitShift;  // its logarithm
  int share;       // of a dense row of A in a split: vectors of eight for the vector kernels, features for the matrix ones
  int entries;
  int firstTile;
  int firstRun;
  int xAligned;
  int prefetch;   // what comes to the L2 cache ahead: PREFETCH_B, PREFETCH_OWN
  Output outputs[MAX_TARGETS];
};

struct SwitchModule {
  unsigned long long pristine;
  unsigned long long merged;
  long long pristineStride;  // elements
  long long mergedStride;
  int out;
  int in;
  int target;
  int firstTile;
  int aligned;
  int changes;  // whether some share changes this module; if not, it is copied bit for bit
};

struct SwitchArgs {
  unsigned long long modules;
  unsigned long long directory;
  unsigned long long slots;    // int per share
  unsigned long long weights;  // float per share
  int moduleCount;
  int shares;
  int slotStride;
  int pageShift;
};

// The rows of one factor.
struct FactorRows {
  const unsigned long long* pages;
  unsigned offset;
  int stride;
  int shift;

  // A factor and what comes before it in its first page are less than 4 GiB.
  __device__ __forceinline__ const char* at(int row, int byte) const {
    const unsigned place = offset + static_cast<unsigned>(row) * static_cast<unsigned>(stride) + static_cast<unsigned>(byte);
    return reinterpret_cast<const char*>(loadReadOnly(pages + (place >> shift)) + (place & ((1u << shift) - 1)));
  }
};

__device__ __forceinline__ FactorRows rowsOfA(const Target& target, int shift) {
  const auto* list = reinterpret_cast<const unsigned long long*>(target.aPages);
  return {target.aPages == 0 ? target.nearPages : list, target.aOffset, target.aStride, shift};
}
__device__ __forceinline__ FactorRows rowsOfB(const Target& target, int shift) {
  const auto* list = reinterpret_cast<const unsigned long long*>(target.bPages);
  return {target.bPages == 0 ? target.nearPages + 4 : list, target.bOffset, target.bStride, shift};
}

// Asks for bytes [begin, end) of rows [first, last) of a factor, a warp for each row: 4 KiB at a time, one line for each lane, then on by `step`.
__device__ __forceinline__ void prefetchRows(const FactorRows& rows, int first, int last, int begin, int end, int step) {
  for (int row = first + static_cast<int>(threadIdx.x / 32); row < last; row += static_cast<int>(blockDim.x / 32)) {
    for (int byte = begin + static_cast<int>(threadIdx.x % 32) * 128; byte < end; byte += step) prefetchToL2(rows.at(row, byte));
  }
}

template <typename T>
__device__ __forceinline__ const T* pointer(unsigned long long address) {
  return reinterpret_cast<const T*>(address);
}
template <typename T>
__device__ __forceinline__ T* writable(unsigned long long address) {
  return reinterpret_cast<T*>(address);
}

// Loads a record: its fields at once, and its pages at least to the L2 cache.
__device__ __forceinline__ Target targetOf(unsigned long long directory, int slotStride, int slot, int target) {
  const TargetRecord* record = pointer<TargetRecord>(directory) + static_cast<long long>(slot) * slotStride + target;
  uint4 words[4];
#pragma unroll
  for (int i = 0; i < 4; i++) words[i] = loadWithLine(reinterpret_cast<const uint4*>(record) + i);
  Target result;
  std::memcpy(static_cast<TargetFields*>(&result), words, sizeof words);
  result.nearPages = record->nearPages;
  return result;
}

// Asks for outputs [begin, end) of the rows of B that a tile will read first.
__device__ __forceinline__ void prefetchFirstOfB(const SgmvArgs& args, const Tile& tile, const Output& output, int begin, int end) {
  constexpr int ROWS = 16;
  const Target target = targetOf(args.directory, args.slotStride, pointer<Run>(args.runs)[tile.firstRun].slot, output.target);
  if (target.bBlocks != 1) return;
  const int bytes = target.bType == F32 ? 4 : 2;
  prefetchRows(rowsOfB(target, args.pageShift), 0, min(ROWS, target.rank), begin * bytes, min(target.bStride, end * bytes), 4096);
}

}  // namespace lorikeet
