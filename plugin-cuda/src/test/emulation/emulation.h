// Stands in for the CUDA language when the kernels are compiled for a CPU by a C++17 compiler: the threads of a thread
// block are fibers, which are switched only at barriers and warp operations. A barrier that only some threads reach is
// found and reported.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline int min(int a, int b) { return a < b ? a : b; }

namespace emulation {

struct Index {
  unsigned x, y, z;
};
// The running thread's coordinates.
extern Index thread, block, threads, blocks;

void blockBarrier();
// Hands `size` bytes of every lane of the warp to every lane; `all` receives them in the order of the lanes.
void exchange(const void* mine, void* all, int size);
int lane();
// Holds a thread whose block was started early until the launch before has ended.
void awaitPrevious();

}  // namespace emulation

#define threadIdx (emulation::thread)
#define blockIdx (emulation::block)
#define blockDim (emulation::threads)
#define gridDim (emulation::blocks)

inline void __syncthreads() { emulation::blockBarrier(); }

namespace lorikeet {

constexpr int MACHINE = 0;

inline float bitsToFloat(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline unsigned floatToBits(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float halfToFloat(unsigned short bits) {
  const unsigned sign = (bits & 0x8000u) << 16;
  const int exponent = bits >> 10 & 31;
  const unsigned fraction = bits & 0x3ffu;
  if (exponent == 31) return bitsToFloat(sign | 0x7f800000u | fraction << 13);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24) : std::ldexp(static_cast<float>(fraction | 0x400u), exponent - 25);
  return sign == 0 ? magnitude : -magnitude;
}

inline unsigned short floatToHalf(float value) {
  const unsigned bits = floatToBits(value);
  const unsigned short sign = bits >> 16 & 0x8000u;
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return 0x7fff;
  if (magnitude >= 65520.0f) return sign | 0x7c00u;
  int exponent;
  std::frexp(magnitude, &exponent);
  // Rounds to a multiple of the unit in the last place, ties to even (the default rounding mode).
  const int unit = exponent - 11 < -24 ? -24 : exponent - 11;
  const auto units = static_cast<unsigned>(std::nearbyint(std::ldexp(magnitude, -unit)));
  if (unit == -24) return sign | units;
  return sign | static_cast<unsigned short>(((unit + 24) << 10) + units);
}

inline unsigned short floatToBfloat(float value) {
  const unsigned bits = floatToBits(value);
  if (std::isnan(value)) return 0x7fff;
  return static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

template <typename T>
T loadReadOnly(const T* address) {
  return *address;
}

// A prefetch of what is not there is no fault on a GPU, but a mistake.
inline void prefetchToL2(const void* address) { static_cast<void>(*static_cast<const volatile char*>(address)); }

template <typename T>
T loadFresh(const T* address) {
  return *address;
}

inline uint4 loadOnce(const uint4* address) { return *address; }
inline uint4 loadWithLine(const uint4* address) { return *address; }

inline void allowNext() {}
inline void awaitPrevious() { emulation::awaitPrevious(); }

inline int countBits(unsigned mask) { return __builtin_popcount(mask); }

inline unsigned ballot(bool vote) {
  bool all[32];
  emulation::exchange(&vote, all, sizeof vote);
  unsigned result = 0;
  for (int i = 0; i < 32; i++) result |= static_cast<unsigned>(all[i]) << i;
  return result;
}

inline float shuffleXor(float value, int lanes) {
  float all[32];
  emulation::exchange(&value, all, sizeof value);
  return all[emulation::lane() ^ lanes];
}

inline unsigned pickBytes(unsigned low, unsigned high, unsigned selector) {
  const std::uint64_t both = static_cast<std::uint64_t>(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) result |= static_cast<unsigned>(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}

// The fragments that the lanes hold, as the PTX manual lays them out.
struct Fragments {
  unsigned a[4];
  unsigned b[2];
};

inline float part(unsigned word, int half, bool bfloat) {
  const auto bits = static_cast<unsigned short>(word >> 16 * half);
  return bfloat ? bitsToFloat(static_cast<unsigned>(bits) << 16) : halfToFloat(bits);
}

inline void mma16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool bfloat) {
  Fragments mine;
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  Fragments all[32];
  emulation::exchange(&mine, all, sizeof mine);
  const int g = emulation::lane() / 4;
  const int t = emulation::lane() % 4;
  for (int i = 0; i < 4; i++) {
    const int column = 2 * t + i % 2;
    for (int k = 0; k < 16; k++) {
      const int holder = k % 8 / 2;
      const float left = part(all[4 * g + holder].a[i / 2 + k / 8 * 2], k % 2, bfloat);
      const float right = part(all[4 * column + holder].b[k / 8], k % 2, bfloat);
      c[i] += left * right;
    }
  }
}
inline void mmaBf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma16(c, a, b, true); }
inline void mmaF16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma16(c, a, b, false); }

inline void mmaTf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  Fragments mine;
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  Fragments all[32];
  emulation::exchange(&mine, all, sizeof mine);
  const int g = emulation::lane() / 4;
  const int t = emulation::lane() % 4;
  for (int i = 0; i < 4; i++) {
    const int column = 2 * t + i % 2;
    for (int k = 0; k < 8; k++) {
      // Tensor cores ignore the lower 13 bits of a tf32 operand.
      const float left = bitsToFloat(all[4 * g + k % 4].a[i / 2 + k / 4 * 2] & 0xffffe000u);
      const float right = bitsToFloat(all[4 * column + k % 4].b[k / 4] & 0xffffe000u);
      c[i] += left * right;
    }
  }
}

}  // namespace lorikeet
