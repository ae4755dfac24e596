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
struct TargetRecord {
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
  unsigned long long nearPages[8];
};
static_assert(sizeof(TargetRecord) == 128, "one record is one cache line");

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
  int splits;
  int entries;
  int firstTile;
  int firstRun;
  int rowGroups;  // blocks per run of a shrink
  int outGroups;  // blocks per tile of an expand
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
  int unused;
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

  __device__ __forceinline__ const char* at(int row, int byte) const {
    const unsigned long long place = offset + static_cast<unsigned long long>(row) * stride + byte;
    return reinterpret_cast<const char*>(loadReadOnly(pages + (place >> shift)) + (place & ((1ull << shift) - 1)));
  }
};

__device__ __forceinline__ FactorRows rowsOfA(const TargetRecord* record, int shift) {
  const unsigned long long list = record->aPages;
  return {list == 0 ? record->nearPages : reinterpret_cast<const unsigned long long*>(list), record->aOffset, record->aStride, shift};
}
__device__ __forceinline__ FactorRows rowsOfB(const TargetRecord* record, int shift) {
  const unsigned long long list = record->bPages;
  return {list == 0 ? record->nearPages + 4 : reinterpret_cast<const unsigned long long*>(list), record->bOffset, record->bStride, shift};
}

// Asks for bytes [begin, end) of rows [first, last) of a factor, line by line over the threads of a block: they come to the L2 cache meanwhile.
__device__ __forceinline__ void prefetchRows(const FactorRows& rows, int first, int last, int begin, int end) {
  const int lines = (end - begin + 127) / 128;
  for (int place = threadIdx.x; place < (last - first) * lines; place += blockDim.x) {
    prefetchToL2(rows.at(first + place / lines, begin + place % lines * 128));
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

__device__ __forceinline__ const TargetRecord* recordOf(unsigned long long directory, int slotStride, int slot, int target) {
  return pointer<TargetRecord>(directory) + static_cast<long long>(slot) * slotStride + target;
}

// Asks for outputs [begin, end) of the rows of B that a tile will read first.
__device__ __forceinline__ void prefetchFirstOfB(const SgmvArgs& args, const Tile& tile, const Output& output, int begin, int end) {
  constexpr int ROWS = 16;
  const Run run = pointer<Run>(args.runs)[tile.firstRun];
  const TargetRecord* record = recordOf(args.directory, args.slotStride, run.slot, output.target);
  if (record->bBlocks != 1) return;
  const int bytes = record->bType == F32 ? 4 : 2;
  const int first = min(record->bStride, begin * bytes);
  prefetchRows(rowsOfB(record, args.pageShift), 0, min(ROWS, record->rank), first, min(record->bStride, end * bytes));
}

}  // namespace lorikeet
